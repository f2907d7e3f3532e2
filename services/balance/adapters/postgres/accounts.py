"""Opens and reads accounts."""

from __future__ import annotations

from services.balance.adapters.postgres.rows import ACCOUNT_COLUMNS, account_of
from services.balance.domain.ledger import Account
from services.balance.domain.names import AccountName
from shared.postgres.pool import Pool

OPEN = """
    insert into account (account_key, program, account_id, created_at, updated_at)
    values (%s, %s, %s, clock_timestamp(), clock_timestamp())
    on conflict (account_key) do nothing
"""
FIND = f"select {ACCOUNT_COLUMNS} from account where account_key = %s"  # noqa: S608  the columns are ours


class PostgresAccounts:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def open(self, name: AccountName) -> Account:
        async with self._pool.connection() as connection:
            await connection.execute(OPEN, [name.key, name.program, name.account_id])
        account = await self.find(name)
        assert account is not None, "accounts are never removed"
        return account

    async def find(self, name: AccountName) -> Account | None:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(FIND, [name.key])
            row = await cursor.fetchone()
        return account_of(name, row) if row else None
