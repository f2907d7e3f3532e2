"""Reads customers, and keeps track of whose account is open."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from psycopg.rows import dict_row
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from services.customers.adapters.postgres.rows import ADDRESS_COLUMNS, CUSTOMER_COLUMNS, address_of, customer_of
from services.customers.adapters.postgres.tables import customer as table
from services.customers.domain.address import Address
from services.customers.domain.customer import Customer
from shared.postgres.pool import Pool

_CUSTOMER_NAMES = [column.name for column in CUSTOMER_COLUMNS]
_ADDRESS_NAMES = [column.name for column in ADDRESS_COLUMNS]
_FIND = f"select {', '.join(_CUSTOMER_NAMES)} from customer where customer_id = %s"  # noqa: S608  the columns are ours
_FIND_RECIPIENT = f"""
select {", ".join(f"c.{name}" for name in _CUSTOMER_NAMES)}, {", ".join(f"a.{name}" for name in _ADDRESS_NAMES)}
from customer c left join address a on a.customer_id = c.customer_id and a.address_id = %s where c.customer_id = %s
"""  # noqa: S608


class PostgresCustomers:
    """`reads` are connections without transactions, for what is asked with every order."""

    def __init__(self, engine: AsyncEngine, reads: Pool) -> None:
        self._engine = engine
        self._reads = reads

    async def find(self, customer_id: UUID) -> Customer | None:
        async with self._reads.connection() as connection:
            row = await (await connection.cursor(row_factory=dict_row).execute(_FIND.encode(), [customer_id])).fetchone()
        return customer_of(row) if row else None

    async def find_recipient(self, customer_id: UUID, address_id: UUID) -> tuple[Customer, Address | None] | None:
        async with self._reads.connection() as connection:
            row = await (await connection.execute(_FIND_RECIPIENT.encode(), [address_id, customer_id])).fetchone()
        if row is None:
            return None
        customer = customer_of(dict(zip(_CUSTOMER_NAMES, row, strict=False)))
        address = dict(zip(_ADDRESS_NAMES, row[len(_CUSTOMER_NAMES) :], strict=True))
        return customer, None if address["address_id"] is None else address_of(address)

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
