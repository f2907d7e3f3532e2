"""Opens and reads accounts."""

from __future__ import annotations

from datetime import datetime

from services.balance.adapters.postgres.rows import HOLD_COLUMNS, READ_ACCOUNTS, due_holds_of, hold_of, loaded_of
from services.balance.domain.journal import Loaded
from services.balance.domain.names import AccountName
from shared.postgres.pool import Pool

OPEN = """
    insert into account (account_key, program, account_id, created_at, updated_at)
    values (%s, %s, %s, clock_timestamp(), clock_timestamp())
    on conflict (account_key) do nothing
"""
DUE_HOLDS = f"select {HOLD_COLUMNS} from hold where account_key = %s and hold_id = any(%s) and state = 1"  # noqa: S608  the columns are ours
ALL_LOTS = 2**31 - 1


class PostgresAccounts:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def open(self, name: AccountName) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(OPEN, [name.key, name.program, name.account_id])

    async def load(self, name: AccountName) -> tuple[Loaded, datetime] | None:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(READ_ACCOUNTS, [ALL_LOTS, [name.key]])
            row = await cursor.fetchone()
            if row is None:
                return None
            due = due_holds_of(row)
            holds = await (await connection.execute(DUE_HOLDS, [name.key, due])).fetchall() if due else []
        return loaded_of(name, row, lots_max=ALL_LOTS, holds=[hold_of(hold) for hold in holds]), row[0]
