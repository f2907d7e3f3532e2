"""Opens and reads accounts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.balance.adapters.postgres.rows import READ_ACCOUNTS, loaded_of
from services.balance.domain.journal import Loaded
from services.balance.domain.names import AccountName
from shared.postgres.pool import Pool

OPEN = """
    insert into account (account_key, program, account_id, created_at, updated_at)
    values (%s, %s, %s, clock_timestamp(), clock_timestamp())
    on conflict (account_key) do nothing
"""
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
        return [_loaded(name, rows[name.key]) if name.key in rows else None for name in names]


def _loaded(name: AccountName, row: Sequence[Any]) -> tuple[Loaded, datetime]:
    return loaded_of(name, row, lots_max=ALL_LOTS), row[0]
