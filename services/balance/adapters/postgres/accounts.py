"""Opens and reads accounts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.balance.adapters.postgres.rows import HOLD_COLUMNS, READ_ACCOUNTS, columns, due_holds_of, hold_of, loaded_of
from services.balance.domain.journal import Loaded
from services.balance.domain.names import AccountName
from shared.postgres.pool import Pool

OPEN = """
    insert into account (account_key, program, account_id, created_at, updated_at)
    values (%s, %s, %s, clock_timestamp(), clock_timestamp())
    on conflict (account_key) do nothing
"""
DUE_HOLDS = f"""
    select account_key, {HOLD_COLUMNS} from hold
    join unnest(%s::uuid[], %s::bigint[]) as asked (account_key, hold_id) using (account_key, hold_id)
    where state = 1
"""  # noqa: S608  the columns are ours
ALL_LOTS = 2**31 - 1


class PostgresAccounts:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def open(self, name: AccountName) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(OPEN, [name.key, name.program, name.account_id])

    async def load(self, name: AccountName) -> tuple[Loaded, datetime] | None:
        (found,) = await self.load_many([name])
        return found

    async def load_many(self, names: Sequence[AccountName]) -> Sequence[tuple[Loaded, datetime] | None]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(READ_ACCOUNTS, [ALL_LOTS, [name.key for name in names]])
            rows = {row[1]: row for row in await cursor.fetchall()}
            due = [(key, hold_id) for key, row in rows.items() for hold_id in due_holds_of(row)]
            holds = await (await connection.execute(DUE_HOLDS, columns(due))).fetchall() if due else []
        return [_loaded(name, rows[name.key], holds) if name.key in rows else None for name in names]


def _loaded(name: AccountName, row: Sequence[Any], holds: Sequence[Sequence[Any]]) -> tuple[Loaded, datetime]:
    own = [hold_of(hold) for key, *hold in holds if key == name.key]
    return loaded_of(name, row, lots_max=ALL_LOTS, holds=own), row[0]
