"""Reads addresses. A customer keeps so few that the primary key alone serves every query."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from psycopg.rows import dict_row
from sqlalchemy import literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from services.customers.adapters.postgres.rows import ADDRESS_COLUMNS, address_of
from services.customers.adapters.postgres.tables import address as table
from services.customers.domain.address import Address
from shared.postgres.pool import Pool

_FIND = f"select {', '.join(column.name for column in ADDRESS_COLUMNS)} from address where customer_id = %s and address_id = %s"  # noqa: S608


class PostgresAddresses:
    """`reads` are connections without transactions, for what is asked with every order."""

    def __init__(self, engine: AsyncEngine, reads: Pool) -> None:
        self._engine = engine
        self._reads = reads

    async def find(self, customer_id: UUID, address_id: UUID) -> Address | None:
        async with self._reads.connection() as connection:
            row = await (await connection.cursor(row_factory=dict_row).execute(_FIND.encode(), [customer_id, address_id])).fetchone()
        return address_of(row) if row else None

    async def list(self, customer_id: UUID, *, before: tuple[datetime, UUID] | None, limit: int) -> Sequence[Address]:
        query = select(*ADDRESS_COLUMNS).where(table.c.customer_id == customer_id)
        if before is not None:
            made_at, address_id = before
            last = tuple_(literal(made_at, table.c.created_at.type), literal(address_id, table.c.address_id.type))
            query = query.where(tuple_(table.c.created_at, table.c.address_id) < last)
        query = query.order_by(table.c.created_at.desc(), table.c.address_id.desc()).limit(limit)
        async with self._engine.connect() as connection:
            return [address_of(row) for row in await connection.execute(query)]
