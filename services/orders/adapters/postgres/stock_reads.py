"""Reads stock. Every list walks along an index."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import RowMapping, Select, Text, any_, literal, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.adapters.postgres.stock_rows import (
    LEVEL_COLUMNS,
    LOCATION_COLUMNS,
    LOT_COLUMNS,
    MOVEMENT_COLUMNS,
    find_reservation,
    level_of,
    location_of,
    lot_of,
    movement_of,
)
from services.orders.adapters.postgres.tables import location as location_table
from services.orders.adapters.postgres.tables import stock_level as levels
from services.orders.adapters.postgres.tables import stock_lot as lots
from services.orders.adapters.postgres.tables import stock_movement as movements
from services.orders.application.inventory.ports import LotFilter
from services.orders.domain.inventory.model import Level, Location, Lot, Movement, Reservation

T = TypeVar("T")
Read = Callable[[RowMapping], T]


class PostgresStockReads:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def locations(self, *, after: str | None, limit: int) -> Sequence[Location]:
        query = select(*LOCATION_COLUMNS).order_by(location_table.c.location_id).limit(limit)
        return await self._all(query if after is None else query.where(location_table.c.location_id > after), location_of)

    async def has_location(self, location_id: str) -> bool:
        query = select(location_table.c.location_id).where(location_table.c.location_id == location_id)
        return bool(await self._all(query, dict))

    async def level(self, location_id: str, sku: str) -> Level | None:
        return await self._one(select(*LEVEL_COLUMNS).where(levels.c.location_id == location_id, levels.c.sku == sku), level_of)

    async def levels_of(self, location_id: str, skus: Sequence[str]) -> Mapping[str, Level]:
        is_asked = levels.c.sku == any_(literal(list(skus), ARRAY(Text)))
        found = await self._all(select(*LEVEL_COLUMNS).where(levels.c.location_id == location_id, is_asked), level_of)
        return {level.sku: level for level in found}

    async def levels(self, location_id: str, *, after: str | None, low_only: bool, limit: int) -> Sequence[Level]:
        query = select(*LEVEL_COLUMNS).where(levels.c.location_id == location_id).order_by(levels.c.sku).limit(limit)
        if after is not None:
            query = query.where(levels.c.sku > after)
        if low_only:
            query = query.where(levels.c.reorder_point > 0, levels.c.on_hand - levels.c.reserved <= levels.c.reorder_point)
        return await self._all(query, level_of)

    async def lot(self, location_id: str, lot_id: UUID) -> Lot | None:
        return await self._one(select(*LOT_COLUMNS).where(lots.c.lot_id == lot_id, lots.c.location_id == location_id), lot_of)

    async def lots(self, location_id: str, wanted: LotFilter, *, after: tuple[date, UUID] | None, limit: int) -> Sequence[Lot]:
        query = select(*LOT_COLUMNS).where(lots.c.location_id == location_id)
        if after is not None:
            last = tuple_(literal(after[0], lots.c.expires_on.type), literal(after[1], lots.c.lot_id.type))
            query = query.where(tuple_(lots.c.expires_on, lots.c.lot_id) > last)
        if wanted.sku:
            query = query.where(lots.c.sku == wanted.sku)
        if wanted.state is not None:
            query = query.where(lots.c.state == wanted.state.value)
        if wanted.expiring_before is not None:
            query = query.where(lots.c.expires_on < wanted.expiring_before)
        if wanted.in_stock_only:
            query = query.where(lots.c.on_hand > 0)
        return await self._all(query.order_by(lots.c.expires_on, lots.c.lot_id).limit(limit), lot_of)

    async def movements(
        self, location_id: str, *, sku: str, lot: tuple[str, UUID] | None, before: int | None, limit: int
    ) -> Sequence[Movement]:
        query = select(*MOVEMENT_COLUMNS).where(movements.c.location_id == location_id)
        if before is not None:
            query = query.where(movements.c.movement_id < before)
        if sku:
            query = query.where(movements.c.sku == sku)
        if lot is not None:
            query = query.where(movements.c.lot_id == lot[1], movements.c.location_id == lot[0])
        return await self._all(query.order_by(movements.c.movement_id.desc()).limit(limit), movement_of)

    async def reservation(self, reservation_id: UUID) -> Reservation | None:
        async with self._engine.connect() as connection:
            return await find_reservation(connection, reservation_id)

    async def _all(self, query: Select[*tuple[Any, ...]], read: Read[T]) -> list[T]:
        async with self._engine.connect() as connection:
            return [read(row) for row in (await connection.execute(query)).mappings()]

    async def _one(self, query: Select[*tuple[Any, ...]], read: Read[T]) -> T | None:
        return next(iter(await self._all(query, read)), None)
