"""The transactions of the inventory's own use cases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Date, cast, func, select
from sqlalchemy.dialects.postgresql import insert

from services.orders.adapters.postgres import lot_statements as statements
from services.orders.adapters.postgres.recalled_orders import TELL_OF_RECALL_JOB
from services.orders.adapters.postgres.stock import PostgresStock
from services.orders.adapters.postgres.stock_rows import (
    LEVEL_COLUMNS,
    LOCATION_COLUMNS,
    LOT_COLUMNS,
    find_reservation,
    level_of,
    location_of,
    lot_of,
)
from services.orders.adapters.postgres.tables import location, medicine, stock_level, stock_lot
from services.orders.adapters.postgres.transactions import Transaction, Transactions
from services.orders.application.inventory.stock import Cause, Stock
from services.orders.domain.inventory.lots import ShelfLife
from services.orders.domain.inventory.model import AffectedOrder, Kind, Level, Location, Lot, LotAndLevel, Reservation
from services.orders.domain.ordering.model import State
from shared.jobs.queue import JobQueue
from shared.postgres.round_trips import RoundTrips
from shared.requests import RequestKey

T = TypeVar("T")

_TODAY = cast(func.current_date(), Date).label("today")


class PostgresStockWrites:
    def __init__(self, transactions: Transactions, jobs: JobQueue) -> None:
        self._transactions = transactions
        self._jobs = jobs
        self._round_trips = RoundTrips()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[PostgresStockWrite]:
        async with self._transactions.begin() as transaction:
            yield PostgresStockWrite(transaction, self._jobs, self._round_trips)


class PostgresStockWrite:
    def __init__(self, transaction: Transaction, jobs: JobQueue, round_trips: RoundTrips) -> None:
        self._transaction = transaction
        self._jobs = jobs
        self._connection = transaction.connection
        self._stock = PostgresStock(transaction.connection, round_trips)

    @property
    def stock(self) -> Stock:
        return self._stock

    async def answered(self, key: RequestKey, kind: type[T]) -> T | None:
        return await self._transaction.answered(key, kind)

    async def commit(self, key: RequestKey, kind: type[T], answer: T) -> None:
        await self._transaction.commit(key, kind, answer)

    async def has_location(self, location_id: str) -> bool:
        query = select(location.c.location_id).where(location.c.location_id == location_id)
        return (await self._connection.execute(query)).first() is not None

    async def add_location(self, location_id: str, display_name: str) -> Location | None:
        added = insert(location).values(location_id=location_id, display_name=display_name).on_conflict_do_nothing()
        row = (await self._connection.execute(added.returning(*LOCATION_COLUMNS))).mappings().first()
        return location_of(row) if row else None

    async def shelf_life(self, sku: str) -> ShelfLife | None:
        query = select(_TODAY, medicine.c.min_remaining_shelf_days).where(medicine.c.sku == sku)
        row = (await self._connection.execute(query.with_for_update(read=True, key_share=True))).first()
        return ShelfLife(row.today, row.min_remaining_shelf_days) if row else None

    async def set_reorder_point(self, location_id: str, sku: str, reorder_point: int) -> Level:
        stored = insert(stock_level).values(location_id=location_id, sku=sku, reorder_point=reorder_point)
        version = stock_level.c.version + 1
        stored = stored.on_conflict_do_update(
            index_elements=["location_id", "sku"], set_={"reorder_point": reorder_point, "version": version}
        )
        return level_of((await self._connection.execute(stored.returning(*LEVEL_COLUMNS))).mappings().one())

    async def lock_level(self, location_id: str, sku: str) -> None:
        made = insert(stock_level).values(location_id=location_id, sku=sku).on_conflict_do_nothing()
        await self._connection.execute(made)
        is_it = (stock_level.c.location_id == location_id, stock_level.c.sku == sku)
        await self._connection.execute(select(stock_level.c.sku).where(*is_it).with_for_update())

    async def lots_numbered(self, sku: str, lot_number: str) -> Sequence[Lot]:
        query = select(*LOT_COLUMNS).where(stock_lot.c.sku == sku, stock_lot.c.lot_number == lot_number)
        query = query.order_by(stock_lot.c.location_id, stock_lot.c.origin.desc())
        return [lot_of(row) for row in (await self._connection.execute(query)).mappings()]

    async def lock_lot(self, location_id: str, lot_id: UUID) -> tuple[Lot, ShelfLife] | None:
        found = await self._connection.execute(select(stock_lot.c.sku).where(*_is(location_id, lot_id)))
        sku = found.scalar_one_or_none()
        if sku is None:
            return None
        await self.lock_level(location_id, sku)
        # A statement of its own: one that began before the level was free would see the lot as it was.
        query = select(*LOT_COLUMNS, _TODAY, medicine.c.min_remaining_shelf_days).join(medicine, medicine.c.sku == stock_lot.c.sku)
        row = (await self._connection.execute(query.where(*_is(location_id, lot_id)))).mappings().one()
        return lot_of(row), ShelfLife(row["today"], row["min_remaining_shelf_days"])

    async def lock_lots_numbered(self, sku: str, lot_number: str) -> list[Lot]:
        await self._connection.execute(select(medicine.c.sku).where(medicine.c.sku == sku).with_for_update())
        places = select(stock_lot.c.location_id).where(stock_lot.c.sku == sku, stock_lot.c.lot_number == lot_number)
        levels = select(stock_level.c.sku).where(stock_level.c.sku == sku, stock_level.c.location_id.in_(places))
        await self._connection.execute(levels.order_by(stock_level.c.location_id).with_for_update(of=stock_level))
        return list(await self.lots_numbered(sku, lot_number))

    async def store(self, before: Lot | None, after: Lot, kind: Kind, cause: Cause) -> LotAndLevel:
        values = {
            **asdict(after),
            **asdict(cause),
            "state": after.state.value,
            "origin": after.origin.value,
            "kind": kind.value,
            "delta": after.on_hand - (before.on_hand if before else 0),
            "counted": after.counted - (before.counted if before else 0),
        }
        row = (await self._connection.exec_driver_sql(statements.STORE, values)).one()
        level = Level(after.location_id, after.sku, row.on_hand, row.reserved, row.reorder_point, row.version)
        return LotAndLevel(replace(after, version=row.lot_version), level)

    async def affected_orders(self, lots: Sequence[Lot], limit: int) -> tuple[Sequence[AffectedOrder], int]:
        values = {"lots": [lot.id for lot in lots], "limit": limit}
        rows = (await self._connection.exec_driver_sql(statements.AFFECTED_ORDERS, values)).all()
        orders = [AffectedOrder(row.customer_id, row.order_id, row.order_number, row.quantity, State(row.state).name) for row in rows]
        return orders, rows[0].total if rows else 0

    async def announce_recall(self, sku: str, lot_number: str, reason: str) -> None:
        await self._jobs.enqueue(self._connection, TELL_OF_RECALL_JOB, sku=sku, lot_number=lot_number, reason=reason)

    async def reservation(self, reservation_id: UUID) -> Reservation | None:
        return await find_reservation(self._connection, reservation_id)


def _is(location_id: str, lot_id: UUID) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return stock_lot.c.lot_id == lot_id, stock_lot.c.location_id == location_id
