"""Reads addresses. A customer keeps so few that the primary key alone serves every query."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from services.customers.adapters.postgres.rows import ADDRESS_COLUMNS, address_of
from services.customers.adapters.postgres.tables import address as table
from services.customers.domain.address import Address


class PostgresAddresses:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def find(self, customer_id: UUID, address_id: UUID) -> Address | None:
        query = select(*ADDRESS_COLUMNS).where(table.c.customer_id == customer_id, table.c.address_id == address_id)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).first()
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
