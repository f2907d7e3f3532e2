"""Stock below the contract: the service's own connections, a location of the test's own, and stock in its transactions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orders.adapters.postgres.stock import PostgresStock
from services.orders.adapters.postgres.stock_writes import PostgresStockWrites
from services.orders.adapters.postgres.tables import SCHEMA
from services.orders.adapters.postgres.transactions import Transactions
from services.orders.application.inventory.stock import Cause
from services.orders.migrations.schema import schema
from services.orders.settings import OrdersSettings
from shared.jobs.queue import JobQueue
from shared.postgres.conninfo import service_conninfo
from shared.postgres.engine import disposing, make_engine
from shared.postgres.migrations import migrate
from shared.testing.databases import fresh_database
from shared.testing.identities import Identities
from shared.testing.servers import ServedService
from tests.orders.integration.inventory.desk import Desk
from tests.orders.stock_rows import LevelRow, add_location, add_lot, add_medicine, broken_rules, level_row, lot_units

CAUSE = Cause(actor="customers/ann", reference="orders/1", reason="a test")


@dataclass(frozen=True, slots=True)
class Shop:
    """A location that only this test knows."""

    engine: AsyncEngine
    location: str

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        async with self.engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def stock(self) -> AsyncIterator[PostgresStock]:
        """Commits at the end of the block."""
        async with self.engine.begin() as connection:
            yield PostgresStock(connection)

    async def medicine(self, *lots: tuple[int, date], min_remaining_shelf_days: int = 0) -> tuple[str, list[UUID]]:
        """Adds a medicine with lots of so many units that last until a day; returns its SKU and theirs."""
        async with self.engine.begin() as connection:
            sku = await add_medicine(connection, min_remaining_shelf_days=min_remaining_shelf_days)
            return sku, [await add_lot(connection, sku, units, location=self.location, expires_on=day) for units, day in lots]

    async def hold(self, lines: dict[str, int], *, order_id: UUID | None = None, lasts: timedelta = timedelta(minutes=15)) -> UUID:
        reservation_id = uuid4()
        async with self.stock() as stock:
            expires_at = datetime.now(UTC) + lasts
            await stock.reserve(reservation_id, self.location, lines, order_id=order_id, expires_at=expires_at, cause=CAUSE)
        return reservation_id

    async def sold(self, lines: dict[str, int]) -> UUID:
        reservation_id = await self.hold(lines)
        async with self.stock() as stock:
            await stock.commit(reservation_id, CAUSE)
        return reservation_id

    async def level(self, sku: str) -> LevelRow:
        async with self.engine.connect() as connection:
            return await level_row(connection, sku, self.location)

    async def units(self, *lots: UUID) -> list[int]:
        async with self.engine.connect() as connection:
            return [await lot_units(connection, lot) for lot in lots]

    async def set_state(self, lot_id: UUID, state: str) -> None:
        """Changes a lot's state and its level, past the service; the movement is missing only where rules are not looked at."""
        async with self.engine.begin() as connection:
            await connection.exec_driver_sql(
                """with lot as (update stock_lot set state = %(state)s where lot_id = %(lot)s and state = 'SELLABLE' returning *),
                        level as (update stock_level s set on_hand = s.on_hand - lot.on_hand from lot
                                  where s.location_id = lot.location_id and s.sku = lot.sku
                                  returning s.location_id, s.sku, s.on_hand, s.reserved, lot.on_hand as units)
                   insert into stock_movement (location_id, sku, kind, lot_id, on_hand_delta, reserved_delta, on_hand_after, reserved_after,
                                               lot_delta, reason, actor, reference)
                   select location_id, sku, 'RECALL', %(lot)s::uuid, -units, 0, on_hand, reserved, 0, '', 'tests', '' from level""",
                {"lot": lot_id, "state": state},
            )

    async def broken_rules(self) -> list[object]:
        async with self.engine.connect() as connection:
            return await broken_rules(connection, self.location)


def stock_writes(engine: AsyncEngine) -> PostgresStockWrites:
    """Writes of no order's stock: they leave no jobs."""
    return PostgresStockWrites(Transactions(engine), JobQueue(SCHEMA, "", CollectorRegistry()))


@pytest_asyncio.fixture(scope="module")
async def engine(orders_settings: OrdersSettings) -> AsyncIterator[AsyncEngine]:
    conninfo = service_conninfo(orders_settings.database_uri, schema=SCHEMA, role=orders_settings.database_role)
    async with disposing(make_engine(conninfo, size_max=12, wait_limit_s=60)) as engine:
        yield engine


@pytest_asyncio.fixture
async def shop(engine: AsyncEngine) -> AsyncIterator[Shop]:
    async with engine.begin() as connection:
        location = await add_location(connection)
    shop = Shop(engine, location)
    yield shop
    assert await shop.broken_rules() == []


@pytest.fixture(scope="module")
def quiet_database(postgres_server_uri: str) -> Iterator[str]:
    """A database that no server sweeps, and whose lots nobody misses when a test lets days pass."""
    with fresh_database(postgres_server_uri) as uri:
        migrate(schema, uri)
        yield uri


@pytest_asyncio.fixture
async def desk(shop: Shop, orders_server: ServedService, identities: Identities) -> Desk:
    """Somebody who may do everything, at the shop of the test."""
    admin = identities.customer(str(uuid4()), roles=("admin", "pharmacist", "staff"))
    return Desk.at(orders_server.channel, admin, shop.location)
