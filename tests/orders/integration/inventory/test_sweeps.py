"""What time ends: reservations of no order, and lots."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest_asyncio

from services.orders.adapters.postgres.stock_sweeps import PostgresStockSweeps
from services.orders.adapters.postgres.tables import SCHEMA
from services.orders.application.inventory.expire import ExpireLots, ExpireReservations
from shared.postgres.conninfo import service_conninfo
from shared.postgres.engine import disposing, make_engine
from tests.orders.integration.inventory.conftest import Shop
from tests.orders.stock_rows import LevelRow, add_location, days, movements
from tests.orders.world import add_order_row, new_customer, today


class Counting:
    """Counts what an Observer is told."""

    def __init__(self) -> None:
        self.expired = 0

    def order_created(self, order: object) -> None:
        raise AssertionError

    def order_changed(self, before: object, after: object) -> None:
        raise AssertionError

    def stock_was_short(self, location_id: str, lines: object) -> None:
        raise AssertionError

    def holds_expired(self, count: int) -> None:
        self.expired += count


@pytest_asyncio.fixture
async def shop(quiet_database: str) -> AsyncIterator[Shop]:
    async with disposing(make_engine(service_conninfo(quiet_database, schema=SCHEMA, role=None), size_max=8, wait_limit_s=60)) as engine:
        async with engine.begin() as connection:
            shop = Shop(engine, await add_location(connection))
        yield shop
        assert await shop.broken_rules() == []


async def test_reservations_of_no_order_run_out_and_those_of_orders_do_not(shop: Shop) -> None:
    sku, _ = await shop.medicine((9, days(10)))
    other, _ = await shop.medicine((9, days(10)))
    over, observer = timedelta(seconds=-1), Counting()
    async with shop.transaction() as connection:
        order_id = await add_order_row(connection, new_customer())
    await shop.hold({sku: 1}, order_id=order_id, lasts=over)
    await shop.hold({sku: 2})
    for _ in range(3):
        await shop.hold({sku: 1, other: 2}, lasts=over)
    sweep = ExpireReservations(PostgresStockSweeps(shop.engine), observer)

    counts = [await sweep.expire_reservations(2) for _ in range(3)]

    assert counts == [2, 1, 0]
    assert observer.expired == 3
    assert await shop.level(sku) == LevelRow(9, 3)
    assert await shop.level(other) == LevelRow(9, 0)
    async with shop.transaction() as connection:
        freed = [row for row in await movements(connection, other, shop.location) if row.kind == "RELEASE"]
    assert len({row.reference for row in freed}) == 3
    assert {(row.actor, row.reserved_delta) for row in freed} == {("system", -2)}


async def test_sweepers_leave_each_other_s_reservations_alone(shop: Shop) -> None:
    skus = [(await shop.medicine((50, days(10))))[0] for _ in range(4)]
    for number in range(40):
        await shop.hold({skus[number % 4]: 1, skus[(number + 1) % 4]: 1}, lasts=timedelta(seconds=-1))
    observer = Counting()
    sweep = ExpireReservations(PostgresStockSweeps(shop.engine), observer)

    counts = await asyncio.gather(*(sweep.expire_reservations(10) for _ in range(8)))
    counts.append(await sweep.expire_reservations(100))

    assert sum(counts) == observer.expired == 40
    assert [await shop.level(sku) for sku in skus] == [LevelRow(50, 0)] * 4


async def test_lots_that_keep_too_short_leave_the_shelf(shop: Shop) -> None:
    sku, (over, last_day, fit) = await shop.medicine((3, days(-1)), (4, days(0)), (5, days(1)))
    strict, (too_short, enough) = await shop.medicine((3, days(29)), (4, days(30)), min_remaining_shelf_days=30)
    await shop.hold({strict: 3})
    sweep = ExpireLots(PostgresStockSweeps(shop.engine))

    assert await sweep.expire_lots(today()) == 2
    first = [await shop.level(sku), await shop.level(strict)]
    assert await sweep.expire_lots(days(1)) == 2
    second = [await shop.level(sku), await shop.level(strict)]

    assert first == [LevelRow(9, 0), LevelRow(4, 3)]
    assert second == [LevelRow(5, 0), LevelRow(0, 3)]
    assert await shop.units(over, last_day, fit, too_short, enough) == [3, 4, 5, 3, 4]
    async with shop.transaction() as connection:
        gone = [
            (row.lot_id, row.on_hand_delta, row.lot_delta)
            for row in await movements(connection, sku, shop.location)
            if row.kind == "EXPIRE"
        ]
    assert gone == [(over, -3, 0), (last_day, -4, 0)]


async def test_lots_are_taken_off_in_batches_by_any_number_of_sweepers(shop: Shop) -> None:
    skus = [(await shop.medicine(*((1, days(-number)) for number in range(1, 6))))[0] for _ in range(30)]
    sweep = ExpireLots(PostgresStockSweeps(shop.engine))

    counts = await asyncio.gather(*(sweep.expire_lots(today()) for _ in range(4)))
    counts.append(await sweep.expire_lots(today()))

    assert sum(counts) == 150
    assert [await shop.level(sku) for sku in skus] == [LevelRow(0, 0)] * 30
