"""An ordinary order is made in one round trip; whatever is in its way, nothing of it happens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from uuid import uuid4

import pytest
from sqlalchemy import text

from services.orders.application.inventory.stock import Cause
from services.orders.application.ordering.create_order import NewOrder
from services.orders.domain.ordering.creation import Wanted
from services.orders.domain.ordering.model import Actor, EventKind, Order, OrderEvent
from services.orders.domain.ordering.transitions import Caller
from shared.requests import RequestKey
from tests.orders.counter import Counter
from tests.orders.integration.ordering.conftest import Ordering
from tests.orders.orders_client import line
from tests.orders.stock_rows import LevelRow

STOCK = 5


@dataclass(frozen=True)
class Case:
    """An order that could be made: judged, not stored. `versions` are those of its medicines."""

    order: Order
    versions: dict[str, int]
    key: RequestKey


@pytest.fixture
async def case(counter: Counter, ordering: Ordering) -> Case:
    customer, skus = counter.person(), [await counter.medicine(STOCK), await counter.medicine(STOCK)]
    key = RequestKey(customer.name, uuid4(), b"fingerprint")
    new = NewOrder(customer.id, [Wanted(sku, 2) for sku in skus], None, counter.location_id, "", validate_only=True)
    create = ordering.container.ordering().use_cases().create
    order = await create(new, Caller(customer.name, frozenset({"customer"})), key)
    return Case(order, dict.fromkeys(skus, 1), key)


async def add(ordering: Ordering, case: Case) -> bool:
    order = case.order
    actor = Actor(order.owner, "customer")
    event = OrderEvent(order.id, 1, EventKind.CREATED, None, order.state, actor, "", {}, order.created_at)
    plain_orders = ordering.container.ordering().plain_orders()
    made: bool = await plain_orders.add(order, event, ["word"], case.versions, Cause(actor.name, order.name), case.key)
    return made


async def stored(counter: Counter, case: Case) -> list[int]:
    """Returns how many rows there are of the order, of whatever kind but jobs."""
    of_order = ("customer_order", "order_item", "order_event", "reservation")
    counts = [await counter.rows(f"select from {table} where order_id = %s", case.order.id) for table in of_order]
    lines = await counter.rows("select from reservation_line where reservation_id = %s", case.order.id)
    answers = await counter.rows("select from request_log where actor = %s and reply is not null", case.key.actor)
    return [len(rows) for rows in (*counts, lines, answers)]


async def test_all_of_it_is_there_after_one_round_trip(counter: Counter, ordering: Ordering, case: Case) -> None:
    assert await add(ordering, case)

    assert await stored(counter, case) == [1, 2, 1, 1, 2, 1]
    assert [await counter.level(sku) for sku in case.versions] == [LevelRow(STOCK, 2)] * 2
    transactions = ordering.container.ordering().transactions()
    assert await transactions.answer_of(case.key) == replace(case.order, pickup_code="")


async def _short(counter: Counter, case: Case) -> Case:
    await counter.ordered(counter.person(), line(case.order.lines[1].sku, STOCK - 1))
    return case


async def _changed(counter: Counter, case: Case) -> Case:
    await counter.rows("update medicine set version = 2 where sku = %s", case.order.lines[1].sku)
    return case


async def _begun(counter: Counter, case: Case) -> Case:
    await counter.rows("insert into request_log (actor, request_id, fingerprint) values (%s, %s, 'x')", case.key.actor, case.key.request_id)
    return case


async def _number_taken(counter: Counter, case: Case) -> Case:
    taken = await counter.ordered(counter.person())
    return replace(case, order=replace(case.order, number=taken.order_number))


async def _no_location(counter: Counter, case: Case) -> Case:
    return replace(case, order=replace(case.order, location_id=f"{counter.location_id}-elsewhere"))


@pytest.mark.parametrize("obstacle", [_short, _changed, _begun, _number_taken, _no_location], ids=lambda obstacle: obstacle.__name__)
async def test_what_is_in_the_way_of_an_order_leaves_nothing_of_it(
    counter: Counter, ordering: Ordering, case: Case, obstacle: Callable[[Counter, Case], Awaitable[Case]]
) -> None:
    case = await obstacle(counter, case)
    levels = [await counter.level(sku) for sku in case.versions]

    assert not await add(ordering, case)

    assert await stored(counter, case) == [0] * 6
    assert not await counter.rows("select from procrastinate_jobs where args ->> 'order_id' = %s", str(case.order.id))
    assert [await counter.level(sku) for sku in case.versions] == levels


async def test_who_waits_for_units_that_another_takes_meanwhile_does_not_get_them(counter: Counter, ordering: Ordering, case: Case) -> None:
    sku = case.order.lines[0].sku
    async with counter.engine.begin() as other:
        await other.execute(text("update stock_level set reserved = on_hand where sku = :sku"), {"sku": sku})
        adding = asyncio.create_task(add(ordering, case))
        await _waits_for_units(counter)
        await other.execute(text("update stock_level set reserved = on_hand - 1 where sku = :sku"), {"sku": sku})

    assert not await adding
    assert await counter.level(sku) == LevelRow(STOCK, STOCK - 1)
    await counter.rows("update stock_level set reserved = 0 where sku = %s", sku)


async def _waits_for_units(counter: Counter) -> None:
    waiting = (
        "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%%stock_level%%'"
    )
    async with asyncio.timeout(5):
        while not await counter.rows(waiting):  # noqa: ASYNC110  nobody tells us when
            await asyncio.sleep(0.01)


async def test_after_an_order_that_could_not_be_made_its_connection_makes_others(counter: Counter, ordering: Ordering, case: Case) -> None:
    for _ in range(10):
        assert not await add(ordering, replace(case, versions=dict.fromkeys(case.versions, 2)))
    assert await add(ordering, case)
    assert await stored(counter, case) == [1, 2, 1, 1, 2, 1]
