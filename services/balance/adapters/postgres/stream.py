"""The stream of operations: of one account in the order of its versions, of all accounts in the order of `stream_position`.

An account's operations become visible in the order of their versions, for whoever writes one holds the account's lock until the commit: a
version is a safe place to go on from. Positions are not: they are given before the commit, so a lower one may appear after a higher one
was read. `Horizon` tells up to where none can appear any more. (Ids of transactions, with the oldest one running as the limit, would tell
it without a horizon, but an id is older than the lock that its transaction waits for: a later version may have a lower id.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from services.balance.adapters.postgres.rows import OPERATION_COLUMNS, columns, operation_of
from services.balance.application.history_ports import Heard, Place
from services.balance.domain.model import Operation
from services.balance.domain.names import AccountName
from shared.postgres.pool import Pool

Connection = AsyncConnection[TupleRow]

# What one read of a place returns at most: of all accounts, of one account; and so many accounts a statement.
STREAM_BATCH = 500
ACCOUNT_BATCH = 100
ACCOUNTS_AT_ONCE = 50

LAST_GIVEN = "select coalesce(pg_sequence_last_value('operation_stream_position_seq'), 0)"
# The oldest transaction that runs, and the end of the ids that have been seen.
SNAPSHOT = "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
# Takes an id: it is younger than those of all transactions that have one by now.
TAKE_ID = "select pg_current_xact_id()::text::bigint, pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
LAST_RECORDED = "select coalesce(max(stream_position), 0) from operation where stream_position <= %s"
OF_ALL = f"""
    select program, account_id, recorded.* from (
        select account_key, stream_position, {OPERATION_COLUMNS} from operation
        where stream_position > %s and stream_position <= %s order by stream_position limit %s
    ) as recorded
    cross join lateral (select program, account_id from account where account.account_key = recorded.account_key limit 1) as owner
    order by stream_position
"""  # noqa: S608  the columns are ours; the inner limit keeps the planner from joining with all accounts
VERSIONS = "select account_key, version from account where account_key = any(%s)"
OF_ACCOUNTS = f"""
    select heard.account_key, heard.version, recorded.*
    from unnest(%s::uuid[], %s::bigint[]) as heard (account_key, version)
    cross join lateral (
        select {OPERATION_COLUMNS} from operation
        where operation.account_key = heard.account_key and operation.version > heard.version order by version limit %s
    ) as recorded
    order by heard.account_key, heard.version, recorded.version
"""  # noqa: S608


class Horizon:
    """Tells up to which position every operation that will ever be there is there.

    The last position given is marked together with the id of a transaction that begins then. Whoever was given a position before had an
    older id: once the oldest transaction running is not older than the mark, nobody can bring one of those positions any more.
    """

    def __init__(self) -> None:
        self._complete: int | None = None
        self._mark: tuple[int, int] | None = None

    async def find(self, connection: Connection) -> int | None:
        """Returns the position, None if it is not known yet. Each statement must have a snapshot of its own."""
        if self._mark is not None:
            self._settle(*await _one(connection, SNAPSHOT))
        (given,) = await _one(connection, LAST_GIVEN)
        if self._mark is None and given != self._complete:
            own_id, oldest = await _one(connection, TAKE_ID)
            self._mark = given, own_id
            self._settle(oldest, own_id + 1)
        return self._complete

    def forget(self) -> None:
        """Begins anew: the server may have crashed, and then forgets what it has given to transactions that it forgets."""
        self._complete = self._mark = None

    def _settle(self, oldest: int, following: int) -> None:
        """Takes the mark for complete if no transaction runs that is older. Ids that were taken come before `following`."""
        assert self._mark is not None
        position, own_id = self._mark
        if following <= own_id:
            self.forget()
        elif oldest >= own_id:
            self._complete, self._mark = position, None


class PostgresStream:
    """Reads for many at a time: places that are the same are read once. For one reader at a time; forgets nothing but its horizon."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._horizon = Horizon()

    async def read(self, places: Collection[Place]) -> Mapping[Place, Heard]:
        heard: dict[Place, Heard] = {}
        try:
            async with self._pool.connection() as connection:
                heard.update(await _of_accounts(connection, [place for place in places if not place.scope.is_every]))
                heard.update(await self._of_all(connection, [place for place in places if place.scope.is_every]))
        except Exception:
            self._horizon.forget()
            raise
        return heard

    async def _of_all(self, connection: Connection, places: Sequence[Place]) -> Mapping[Place, Heard]:
        heard: dict[Place, Heard] = {}
        complete = await self._horizon.find(connection) if places else None
        for after, is_beginning in {(place.after, place.is_beginning) for place in places}:
            part = await _part(connection, after, is_beginning, complete)
            if part is not None:
                alike = [place for place in places if (place.after, place.is_beginning) == (after, is_beginning)]
                heard.update({place: _of_program(part, place.scope.program) for place in alike})
        return heard


async def _part(connection: Connection, after: int | None, is_beginning: bool, complete: int | None) -> Heard | None:
    """Returns the next operations of whatever programme.

    Nobody is sent further than to an operation that is committed: what lies beyond the last one may be given again after a crash.
    """
    if after is None:
        (given,) = await _one(connection, LAST_GIVEN)
        return Heard((), given, False)
    if complete is None or (is_beginning and complete < after):
        return None
    (end,) = await _one(connection, LAST_RECORDED, [after if is_beginning else complete])
    if is_beginning:
        return Heard((), end, False)
    if end <= after:
        return Heard((), after, False)
    rows = await (await connection.execute(OF_ALL, [after, end, STREAM_BATCH])).fetchall()
    operations = [(row[3], operation_of(AccountName(row[0], row[1]), row[4:])) for row in rows]
    more = len(rows) == STREAM_BATCH
    return Heard(operations, operations[-1][0] if more else end, more)


def _of_program(part: Heard, program: str) -> Heard:
    return Heard([heard for heard in part.operations if heard[1].account.program == program], part.after, part.more)


async def _of_accounts(connection: Connection, places: Sequence[Place]) -> Mapping[Place, Heard]:
    begun = [place for place in places if place.after is not None]
    heard = await _ends(connection, [place for place in places if place.after is None])
    for first in range(0, len(begun), ACCOUNTS_AT_ONCE):
        heard |= await _histories(connection, begun[first : first + ACCOUNTS_AT_ONCE])
    return heard


async def _ends(connection: Connection, places: Sequence[Place]) -> dict[Place, Heard]:
    """Returns the ends of histories; one that was never begun ends at 0."""
    if not places:
        return {}
    rows = await (await connection.execute(VERSIONS, [[place.scope.key for place in places]])).fetchall()
    versions = {key: version for key, version in rows}  # noqa: C416  rows are not pairs to the type checker
    return {place: Heard((), versions.get(place.scope.key, 0), False) for place in places}


async def _histories(connection: Connection, places: Sequence[Place]) -> dict[Place, Heard]:
    found: dict[tuple[Any, int], list[tuple[int, Operation]]] = {}
    names = {place.scope.key: place.scope for place in places}
    asked = columns([(place.scope.key, place.after) for place in places])
    for key, after, *row in await (await connection.execute(OF_ACCOUNTS, [*asked, ACCOUNT_BATCH])).fetchall():
        found.setdefault((key, after), []).append((row[0], operation_of(names[key], row)))
    return {place: _heard(place, found.get((place.scope.key, place.after or 0), ())) for place in places}


def _heard(place: Place, operations: Sequence[tuple[int, Operation]]) -> Heard:
    if place.is_beginning or not operations:
        return Heard((), place.after or 0, False)
    return Heard(operations, operations[-1][0], len(operations) == ACCOUNT_BATCH)


async def _one(connection: Connection, statement: str, parameters: Iterable[Any] = ()) -> Sequence[Any]:
    row = await (await connection.execute(statement, list(parameters))).fetchone()
    assert row is not None
    return row
