"""Reads customers, and keeps track of whose account is open."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from psycopg.rows import dict_row
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from services.customers.adapters.postgres.recipients import recipient_of, recipients_statement
from services.customers.adapters.postgres.rows import CUSTOMER_COLUMNS, customer_of
from services.customers.adapters.postgres.tables import customer as table
from services.customers.domain.customer import Customer
from services.customers.domain.recipient import Recipient
from shared.postgres.pool import Pool
from shared.postgres.round_trips import RoundTrips

# The columns are ours.
_FIND = f"select {', '.join(column.name for column in CUSTOMER_COLUMNS)} from customer where customer_id = %s"  # noqa: S608


class PostgresCustomers:
    """`reads` are connections without transactions, for what is asked with every order."""

    def __init__(self, engine: AsyncEngine, reads: Pool) -> None:
        self._engine = engine
        self._reads = reads
        # The driver prepares statements on these connections, too; as it never rolls back there, it never forgets ours.
        self._round_trips = RoundTrips()

    async def find(self, customer_id: UUID) -> Customer | None:
        async with self._reads.connection() as connection:
            row = await (await connection.cursor(row_factory=dict_row).execute(_FIND.encode(), [customer_id])).fetchone()
        return customer_of(row) if row else None

    async def find_recipients(self, ids: Sequence[tuple[UUID | None, UUID | None]]) -> Sequence[Recipient | None]:
        async with self._reads.connection() as connection:
            (rows,) = await self._round_trips.send(connection, [recipients_statement(ids)])
        return [recipient_of(pair, row) for pair, row in zip(ids, rows, strict=True)]

    async def without_account(self, *, older_than_s: float, after: UUID | None, limit: int) -> Sequence[UUID]:
        late = select(table.c.customer_id).where(
            table.c.account_opened_at.is_(None), table.c.created_at <= func.clock_timestamp() - timedelta(seconds=older_than_s)
        )
        if after is not None:
            late = late.where(table.c.customer_id > after)
        async with self._engine.connect() as connection:
            return (await connection.execute(late.order_by(table.c.customer_id).limit(limit))).scalars().all()

    async def record_account(self, customer_id: UUID) -> None:
        missing = (table.c.customer_id == customer_id, table.c.account_opened_at.is_(None))
        async with self._engine.begin() as connection:
            await connection.execute(update(table).where(*missing).values(account_opened_at=func.clock_timestamp()))
