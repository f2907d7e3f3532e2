"""Reads operations in bulk: each statement for itself, so that no transaction lasts as long as an export does."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from services.balance.adapters.postgres.rows import OPERATION_COLUMNS, columns, operation_of
from services.balance.application.history_ports import VersionRange
from services.balance.domain.model import Operation
from services.balance.domain.names import AccountName
from shared.postgres.pool import Pool

ACCOUNTS_AT_ONCE = 1000

HISTORY = "select program, account_id, version from account where account_key = %(key)s"
HISTORIES = """
    select program, account_id, version from account where program = %(program)s and account_key > %(key)s
    order by account_key limit %(limit)s
"""
# The limit keeps the planner from joining with the whole table; a range is no longer than that.
OPERATIONS = f"""
    select asked.account_key, found.*
    from unnest(%s::uuid[], %s::bigint[], %s::bigint[]) as asked (account_key, low, high)
    cross join lateral (
        select {OPERATION_COLUMNS} from operation
        where operation.account_key = asked.account_key and version > asked.low and version <= asked.high
        order by version limit asked.high - asked.low
    ) as found
    order by asked.account_key, found.version
"""  # noqa: S608  the columns are ours
BEFORE_ALL = UUID(int=0)


class PostgresArchive:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def histories(self, scope: AccountName, after: UUID | None) -> Sequence[VersionRange]:
        if not scope.is_every and after is not None:
            return ()
        key = (after or BEFORE_ALL) if scope.is_every else scope.key
        parameters = {"program": scope.program, "key": key, "limit": ACCOUNTS_AT_ONCE}
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(HISTORIES if scope.is_every else HISTORY, parameters)).fetchall()
        return [VersionRange(AccountName(program, account_id), 0, version) for program, account_id, version in rows]

    async def operations(self, ranges: Sequence[VersionRange]) -> Sequence[Operation]:
        names = {found.account.key: found.account for found in ranges}
        asked = columns([(found.account.key, found.low, found.high) for found in ranges])
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(OPERATIONS, asked)).fetchall()
        return [operation_of(names[key], row) for key, *row in rows]
