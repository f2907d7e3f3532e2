"""Many at once on the same stock. Each race is run again without the lock that decides it, and must go wrong then."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from psycopg import errors
from psycopg.conninfo import make_conninfo
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.adapters.postgres import lot_statements, stock_statements
from services.orders.adapters.postgres.stock_sweeps import PostgresStockSweeps
from services.orders.adapters.postgres.tables import SCHEMA
from services.orders.application.inventory.keep_lots import KeepLots
from services.orders.application.inventory.recall_lot import RecallLot
from services.orders.domain.inventory.lots import Correction, Delivery
from services.orders.domain.inventory.model import Kind
from shared.clock import SystemClock
from shared.errors import GalenError
from shared.postgres.conninfo import service_conninfo
from shared.postgres.engine import disposing, make_engine
from shared.requests import RequestKey
from tests.orders.integration.inventory.conftest import CAUSE, Shop, stock_writes
from tests.orders.stock_rows import LevelRow, add_location, add_lot, add_medicine, days
from tests.orders.world import today

ORDERED = "order by s.sku for update of s"
CONNECTIONS = 12


@pytest_asyncio.fixture(scope="module")
async def busy_engine(quiet_database: str) -> AsyncIterator[AsyncEngine]:
    """As many connections as workers, which notice deadlocks at once."""
    hasty = make_conninfo(quiet_database, options="-c deadlock_timeout=50ms")
    async with disposing(make_engine(service_conninfo(hasty, schema=SCHEMA, role=None), size_max=CONNECTIONS, wait_limit_s=100)) as engine:
        yield engine


@pytest_asyncio.fixture
async def market(busy_engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> Market:
    async with busy_engine.begin() as connection:
        return Market(Shop(busy_engine, await add_location(connection)), monkeypatch)


class Market:
    """What races do, and what is taken out of a statement to see them go wrong."""

    def __init__(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shop = shop
        self.deadlocks = 0
        self._monkeypatch = monkeypatch

    def without(self, statement: str, part: str, instead: str = "") -> None:
        before: str = getattr(stock_statements, statement)
        assert part in before
        self._monkeypatch.setattr(stock_statements, statement, before.replace(part, instead))

    async def won(self, *tries: Awaitable[Any]) -> list[Any]:
        """Returns what the tries that were not refused returned; counts deadlocks."""

        async def attempt(one: Awaitable[Any]) -> list[Any]:
            try:
                return [await one]
            except GalenError:
                return []
            except errors.DeadlockDetected:
                self.deadlocks += 1
                return []
            except DBAPIError as error:
                if not isinstance(error.orig, errors.DeadlockDetected):
                    raise
                self.deadlocks += 1
                return []

        return [answer for answers in await together(*map(attempt, tries)) for answer in answers]

    async def buy(self, lines: dict[str, int]) -> UUID:
        held = await self.shop.hold(lines)
        async with self.shop.stock() as stock:
            await stock.commit(held, CAUSE)
        return held

    async def goes_wrong(self, race: Callable[[], Awaitable[None]]) -> bool:
        """Tells whether the race breaks its own rules, one of the database, or what must add up."""
        try:
            await race()
        except (AssertionError, DBAPIError, errors.Error, GalenError):
            return True
        return bool(await self.shop.broken_rules())


async def many_buyers(market: Market) -> None:
    sku, _ = await market.shop.medicine((50, days(10)))

    held = await market.won(*(market.shop.hold({sku: 1}) for _ in range(500)))

    assert len(held) == 50
    assert await market.shop.level(sku) == LevelRow(50, 50)


async def test_of_500_buyers_for_50_units_exactly_50_win(market: Market) -> None:
    await many_buyers(market)
    assert await market.shop.broken_rules() == []


async def test_without_the_lock_of_the_level_more_is_sold_than_there_is(market: Market) -> None:
    market.without("RESERVE", ORDERED, "order by s.sku")

    assert await market.goes_wrong(lambda: many_buyers(market))


async def crossed_carts(market: Market, seed: int) -> None:
    chance = random.Random(seed)
    skus = [(await market.shop.medicine((10_000, days(10))))[0] for _ in range(8)]

    async def worker() -> None:
        for _ in range(7):
            await market.won(market.buy(dict.fromkeys(chance.sample(skus, 4), 1)))

    await together(*(worker() for _ in range(CONNECTIONS)))


async def test_crossed_carts_of_12_workers_never_wait_in_a_circle(market: Market) -> None:
    await crossed_carts(market, 1)

    assert market.deadlocks == 0
    assert await market.shop.broken_rules() == []


async def test_levels_locked_in_an_order_of_the_cart_s_own_wait_in_a_circle(market: Market) -> None:
    market.without("RESERVE", "order by s.sku for update", "order by md5(s.sku || %(reservation)s::text) for update")

    await crossed_carts(market, 2)

    assert market.deadlocks > 0


async def two_sales(market: Market) -> None:
    for _ in range(5):
        sku, _ = await market.shop.medicine((2, days(10)), (8, days(20)))
        held = await market.shop.hold({sku: 5})

        async def sell(held: UUID = held) -> list[tuple[UUID, int]]:
            async with market.shop.stock() as stock:
                return [(lot.lot_id, lot.quantity) for lot in await stock.commit(held, CAUSE)]

        answers = await together(*(sell() for _ in range(6)))

        assert all(answer == answers[0] for answer in answers)
        assert await market.shop.level(sku) == LevelRow(5, 0)


async def test_of_many_sales_of_one_reservation_one_sells_and_all_tell_the_same(market: Market) -> None:
    await two_sales(market)
    assert await market.shop.broken_rules() == []


async def test_without_the_lock_of_the_reservation_sales_get_into_each_other_s_way(market: Market) -> None:
    market.without("LOCK", "%(reservation)s::uuid for update", "%(reservation)s::uuid")

    assert await market.goes_wrong(lambda: two_sales(market))


async def sale_against_release(market: Market) -> None:
    for number in range(12):
        sku, _ = await market.shop.medicine((10, days(10)))
        held = await market.shop.hold({sku: 4})

        async def sell(held: UUID = held) -> str:
            async with market.shop.stock() as stock:
                await stock.commit(held, CAUSE)
            return "sold"

        async def free(held: UUID = held, expired: bool = number % 2 == 1) -> str:
            async with market.shop.stock() as stock:
                return "freed" if await stock.release(held, CAUSE, expired=expired) else "late"

        won = await market.won(*((sell(), free(), free()) if number % 3 else (free(), sell(), free())))

        assert len([answer for answer in won if answer != "late"]) == 1
        assert await market.shop.level(sku) == (LevelRow(6, 0) if "sold" in won else LevelRow(10, 0))


async def test_a_reservation_is_sold_or_freed_never_both(market: Market) -> None:
    await sale_against_release(market)
    assert await market.shop.broken_rules() == []


async def test_without_the_guard_of_the_state_it_is_both(market: Market) -> None:
    market.without("RELEASE", "and state = 'HELD'")

    assert await market.goes_wrong(lambda: sale_against_release(market))


async def last_units(market: Market) -> None:
    sku, lots = await market.shop.medicine(*((20, days(number)) for number in range(1, 11)))
    async with market.shop.transaction() as connection:
        past = await add_lot(connection, sku, 50, location=market.shop.location, expires_on=days(-1))
        recalled = await add_lot(connection, sku, 50, location=market.shop.location, expires_on=days(1), state="RECALLED")

    won = await market.won(*(market.buy({sku: 3}) for _ in range(80)))

    assert len(won) == 66
    assert await market.shop.units(past, recalled) == [50, 50]
    assert await market.shop.units(*lots) == [0] * 9 + [2]


async def test_at_once_too_the_lots_that_expire_first_go_first_and_expired_ones_never(market: Market) -> None:
    await last_units(market)
    assert await market.shop.broken_rules() == []


async def test_without_the_lock_of_the_levels_two_sales_take_the_same_units(market: Market) -> None:
    market.without("LOCK", ORDERED, "order by s.sku")

    assert await market.goes_wrong(lambda: last_units(market))


async def test_who_waited_for_a_level_judges_its_lots_as_they_are_then(market: Market) -> None:
    sku, _ = await market.shop.medicine((5, days(-1)), (5, days(10)))
    async with market.shop.transaction() as connection:
        place: dict[str, Any] = {"locations": [market.shop.location], "skus": [sku], "today": today()}
        await connection.exec_driver_sql(lot_statements.EXPIRE_LOTS, {**place, "reason": "", "actor": "system", "reference": ""})
        buying = asyncio.create_task(market.shop.hold({sku: 5}))
        await asyncio.sleep(0.1)
        assert not buying.done()

    await buying
    assert await market.shop.level(sku) == LevelRow(5, 5)


async def test_a_recall_reaches_what_is_just_being_received_elsewhere(market: Market) -> None:
    writes = stock_writes(market.shop.engine)
    lots, recalls = KeepLots(writes, SystemClock()), RecallLot(writes)
    async with market.shop.transaction() as connection:
        sku, elsewhere = await add_medicine(connection), await add_location(connection)
        known = await add_lot(connection, sku, 5, location=elsewhere, number="BAD", expires_on=days(10))
    async with writes.begin() as write:
        stored = await lots._take_in(write, Delivery(market.shop.location, sku, "BAD", days(10), 5), "customers/ann")
        recalling = asyncio.create_task(recalls.recall(sku, "BAD", "glass", new_key()))
        await asyncio.sleep(0.1)
        assert not recalling.done()
        await write.answered(key := new_key(), Kind)
        await write.commit(key, Kind, Kind.RECEIVE)

    assert {lot.id for lot in (await recalling).lots} == {known, stored.lot.id}


async def test_everything_at_once_adds_up_and_nobody_waits_in_a_circle(market: Market) -> None:
    shop, chance = market.shop, random.Random(7)
    writes = stock_writes(shop.engine)
    lots, recalls, sweeps = KeepLots(writes, SystemClock()), RecallLot(writes), PostgresStockSweeps(shop.engine)
    made = [await shop.medicine((40, days(2)), (40, days(3)), (40, days(4))) for _ in range(5)]
    skus, all_lots = [sku for sku, _ in made], [lot for _, found in made for lot in found]

    async def sell_and(then: str) -> None:
        held = await shop.hold(dict.fromkeys(chance.sample(skus, 3), chance.randint(1, 3)))
        async with shop.stock() as stock:
            if then == "release":
                await stock.release(held, CAUSE)
                return
            await stock.commit(held, CAUSE)
        async with shop.stock() as stock:
            await (stock.restock(held, CAUSE) if then == "restock" else stock.dispatch(held, CAUSE))

    async def something() -> Any:
        lot, sku, number = chance.choice(all_lots), chance.choice(skus), f"N{chance.randint(1, 4)}"
        deeds: list[Callable[[], Awaitable[Any]]] = [
            *(partial(sell_and, then) for then in ("release", "restock", "restock", "dispatch", "dispatch")),
            partial(lots.adjust, shop.location, lot, Correction(expected=40, delta=-1), "LOST", new_key()),
            partial(lots.quarantine, shop.location, lot, "damp", new_key()),
            partial(lots.release, shop.location, lot, "dry", new_key()),
            partial(lots.receive, Delivery(shop.location, sku, number, days(5), 3), new_key()),
            partial(recalls.recall, sku, number, "glass", new_key()),
            partial(sweeps.expire_lots, days(chance.randint(0, 2)), 2),
            partial(sweeps.expire_reservations, 5),
        ]
        return await chance.choice(deeds)()

    async def worker() -> None:
        for _ in range(12):
            await market.won(something())

    await together(*(worker() for _ in range(CONNECTIONS)))

    assert market.deadlocks == 0
    assert await shop.broken_rules() == []


async def together(*work: Awaitable[Any]) -> list[Any]:
    """Awaits all to their ends, and raises the first error then: what goes on would meet the next test."""
    results = await asyncio.gather(*work, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def new_key() -> RequestKey:
    return RequestKey("customers/ann", uuid4(), b"content")
