"""Reads operations back. A statement walks the primary key backwards, so a page costs the same however long the history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.balance.adapters.postgres.rows import HOLD_COLUMNS, OPERATION_COLUMNS, hold_of, operation_of
from services.balance.adapters.postgres.version_search import NEWEST, version_before, version_before_or_none
from services.balance.application.ports import StatementFilter, StatementPage
from services.balance.domain.model import Hold, Kind, Operation
from services.balance.domain.names import AccountName
from shared.postgres.pool import Pool

# How many operations a page searches at most. What is rare, a kind or a reference, would else cost a walk through the whole history; the
# page is then given as full as it is, and the next one goes on from there. Kinds and references have no index: one on (account_key,
# reference) made inserts a quarter dearer (42 instead of 33 microseconds of the server's time each) for a question that people ask now and
# then, of histories that most often are shorter than one page's search.
SEARCHED_MAX = 10_000
# For this transaction only, because a connection may be shared (pgbouncer). Not knowing the limit, the planner would rather collect all
# that a page may search and sort it than walk along the key and stop.
READING_SETTINGS = "select set_config('enable_bitmapscan', 'off', true), set_config('enable_seqscan', 'off', true)"
# One row at least: how far the page searched, with nothing else if it found nothing.
PAGE = f"""
    with recursive {NEWEST}, {version_before_or_none("before_start", "start")}, {version_before("before_end", "end")},
    bounds (oldest, newest) as (
        select before_start.low, least(before_end.low, %(before)s - 1) from before_start, before_end
        where before_start.low = before_start.high and before_end.low = before_end.high
    )
    select bounds.oldest, greatest(bounds.oldest, bounds.newest - %(searched)s), page.*
    from bounds
    left join lateral (
        select {OPERATION_COLUMNS} from operation
        where account_key = %(key)s and version <= bounds.newest and version > greatest(bounds.oldest, bounds.newest - %(searched)s)
            and kind = any(%(kinds)s::smallint[]) and (refusal is null or %(refused)s)
            and (%(reference)s::text is null or reference = %(reference)s)
        order by version desc limit %(limit)s
    ) as page on true
"""  # noqa: S608  the columns are ours
# An order number that was paid has an index, because it may be paid once only.
PAYMENT = f"""
    select {OPERATION_COLUMNS} from operation
    where account_key = %(key)s and reference = %(reference)s and kind = 2 and refusal is null and version < %(before)s
        and (%(start)s::timestamptz is null or created_at >= %(start)s) and (%(end)s::timestamptz is null or created_at < %(end)s)
"""  # noqa: S608
BY_VERSION = f"select {OPERATION_COLUMNS} from operation where account_key = %s and version = %s"  # noqa: S608
BY_REQUEST = f"select {OPERATION_COLUMNS} from operation where account_key = %s and actor = %s and request_id = %s"  # noqa: S608
# With the time that a command would have: by no clock but the database's, and never earlier than the account's last operation.
HOLD = f"""
    select greatest(clock_timestamp(), updated_at), {HOLD_COLUMNS} from hold join account using (account_key)
    where account_key = %s and hold_id = %s
"""  # noqa: S608
AFTER_ALL = 2**63 - 1


class PostgresStatements:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def page(self, wanted: StatementFilter) -> StatementPage:
        if wanted.reference and set(wanted.kinds) == {Kind.WITHDRAWAL} and not wanted.include_refused:
            return StatementPage(await self._read(wanted.account, PAYMENT, page_parameters(wanted)), None)
        async with self._pool.connection() as connection, connection.pipeline():
            await connection.execute(READING_SETTINGS)
            rows = await (await connection.execute(PAGE, page_parameters(wanted))).fetchall()
        return _page(wanted, rows)

    async def by_version(self, account: AccountName, version: int) -> Operation | None:
        return next(iter(await self._read(account, BY_VERSION, [account.key, version])), None)

    async def by_request(self, account: AccountName, actor: str, request_id: UUID) -> Operation | None:
        return next(iter(await self._read(account, BY_REQUEST, [account.key, actor, request_id])), None)

    async def hold(self, account: AccountName, hold_id: int) -> tuple[Hold, datetime] | None:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(HOLD, [account.key, hold_id])).fetchone()
        return (hold_of(row[1:]), row[0]) if row else None

    async def _read(self, account: AccountName, statement: str, parameters: Sequence[Any] | dict[str, Any]) -> Sequence[Operation]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(statement, parameters)
            return [operation_of(account, row) for row in await cursor.fetchall()]


def page_parameters(wanted: StatementFilter) -> dict[str, Any]:
    """Returns the parameters of PAGE; one more than a page is read, to know whether there is a next one."""
    return {
        "key": wanted.account.key,
        "kinds": [kind.value for kind in wanted.kinds or Kind],
        "refused": wanted.include_refused,
        "reference": wanted.reference or None,
        "start": wanted.start,
        "end": wanted.end,
        "before": AFTER_ALL if wanted.before_version is None else wanted.before_version,
        "searched": SEARCHED_MAX,
        "limit": wanted.limit + 1,
    }


def _page(wanted: StatementFilter, rows: Sequence[Sequence[Any]]) -> StatementPage:
    if not rows:  # the account was never opened
        return StatementPage((), None)
    oldest, searched, *_ = rows[0]
    # The rows come as the walk finds them; SQL does not promise that, so they are sorted, which costs nothing where they are.
    found = sorted((row[2:] for row in rows if row[2] is not None), key=lambda row: row[0], reverse=True)
    operations = [operation_of(wanted.account, row) for row in found[: wanted.limit]]
    if len(found) > wanted.limit:
        return StatementPage(operations, operations[-1].version)
    return StatementPage(operations, searched + 1 if searched > oldest else None)
