"""Failed logins in PostgreSQL, so that all replicas count together."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import case, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from services.customers.adapters.postgres.tables import login_failure as table
from services.customers.domain.login import Attempt

ALL_ACCOUNTS = b""


class PostgresFailedLogins:
    """Counts in windows that begin with the first failure and last `window`; an address has a count for each account and one for all."""

    def __init__(self, engine: AsyncEngine, *, window: timedelta, per_account_max: int, per_address_max: int) -> None:
        self._engine = engine
        self._window = window
        self._per_account_max = per_account_max
        self._per_address_max = per_address_max

    async def wait_s(self, attempt: Attempt) -> float:
        limit = case((table.c.account == ALL_ACCOUNTS, self._per_address_max), else_=self._per_account_max)
        left = func.max(table.c.window_ends_at) - func.clock_timestamp()
        used_up = (
            table.c.address == attempt.address,
            table.c.account.in_([ALL_ACCOUNTS, attempt.account]),
            table.c.failures >= limit,
        )
        async with self._engine.connect() as connection:
            waits: timedelta | None = (await connection.execute(select(left).where(*used_up))).scalar_one()
        return 0.0 if waits is None else max(0.0, waits.total_seconds())

    async def count(self, attempt: Attempt) -> None:
        window_ends_at = func.clock_timestamp() + self._window
        # Always in this order, so that two who fail at once wait for each other instead of dead-locking.
        rows = [
            {"address": attempt.address, "account": account, "failures": 1, "window_ends_at": window_ends_at}
            for account in (ALL_ACCOUNTS, attempt.account)
        ]
        is_over = table.c.window_ends_at <= func.clock_timestamp()
        added = insert(table).values(rows)
        counted = added.on_conflict_do_update(
            index_elements=[table.c.address, table.c.account],
            set_={
                "failures": case((is_over, 1), else_=table.c.failures + 1),
                "window_ends_at": case((is_over, added.excluded.window_ends_at), else_=table.c.window_ends_at),
            },
        )
        async with self._engine.begin() as connection:
            await connection.execute(counted)

    async def forget_old(self) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(delete(table).where(table.c.window_ends_at < func.statement_timestamp()))
