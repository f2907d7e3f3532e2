"""The sweeper: what is past its time is ended once, whoever else is at it, and nothing that fails keeps the rest waiting."""

from __future__ import annotations

import asyncio
import urllib.request
from uuid import UUID

from galen.orders.v1 import order_pb2
from galen.orders.v1.order_pb2 import Order

from services.orders.application.ordering.ports import Verdict
from services.orders.container import OrdersContainer
from services.orders.domain.errors import OrderStateRefused
from services.orders.domain.ordering import model
from shared.postgres.engine import disposing
from tests.orders.counter import order_id
from tests.orders.integration.outside.conftest import OpenShop
from tests.orders.orders_client import line
from tests.orders.shop import Shop, eventually

ORDERS = 24
DEADLOCKS = "select deadlocks from pg_stat_database where datname = current_database()"


class Word:
    """An arbiter who says what it is told to."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.asked: list[UUID] = []

    async def cancel(self, order: model.Order) -> Verdict:
        self.asked.append(order.id)
        return self.verdict


async def states(shop: Shop) -> dict[int, int]:
    """Returns how many orders are in each state."""
    return {row.state: row.n for row in await shop.counter.rows("select state, count(*) as n from customer_order group by state")}


async def releases(shop: Shop) -> list[int]:
    """Returns how often the units of each order were given back, for those whose were."""
    query = """select count(*) as n from stock_movement where kind = 'RELEASE' and reserved_delta < 0
               group by reference, sku"""
    return [row.n for row in await shop.counter.rows(query)]


async def test_what_is_past_its_time_is_ended_by_itself(open_for: OpenShop) -> None:
    async with open_for(payment_due_s=1.0, arrival_due_s=0.5) as shop:
        crew, counter = shop.crew, shop.counter
        shipped = await crew.in_state("SHIPPED", delivery=True)
        sku = await counter.medicine(stock=5)
        unpaid = await counter.ordered(crew.customer, line(sku, 5))
        unreviewed = await crew.in_state("UNDER_REVIEW", rx=True)
        await counter.due(unreviewed)
        uncollected = await crew.in_state("READY")
        await counter.due(uncollected)

        await shop.reached(shipped, order_pb2.ORDER_STATE_COMPLETED)
        await shop.reached(unpaid, order_pb2.ORDER_STATE_EXPIRED)
        await shop.reached(unreviewed, order_pb2.ORDER_STATE_EXPIRED)

        async def overdue() -> bool:
            return (await crew.staff.get(uncollected.name)).overdue

        await eventually(overdue)
        assert (await counter.level(sku)).reserved == 0
        assert await counter.broken_rules() == []
        events = await crew.customer.events(uncollected.name)
        await asyncio.sleep(0.5)
        assert await crew.customer.events(uncollected.name) == events, "the alert is raised once"
        metrics = await asyncio.to_thread(scraped, shop.server.metrics_address)
        assert 'orders_state_transitions_total{from="PENDING_PAYMENT",to="EXPIRED"} 1.0' in metrics
        assert "orders_holds_expired_total 2.0" in metrics


def scraped(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
        return text


async def test_two_sweepers_and_payers_at_once_end_each_order_once_and_never_wait_in_a_circle(open_for: OpenShop) -> None:
    """Orders of crossing carts; the first half is paid while two sweepers, each with pools of its own, come upon all of them."""
    async with open_for(background_work=False) as shop:
        counter, customer = shop.counter, shop.crew.customer
        skus = [await counter.medicine(stock=ORDERS) for _ in range(4)]
        orders = [await _crossing(shop, place, skus) for place in range(ORDERS)]
        deadlocks = (await counter.rows(DEADLOCKS))[0].deadlocks
        settings = shop.container.settings()
        sweepers = [OrdersContainer(settings=settings) for _ in range(2)]
        async with disposing(sweepers[0].work_engine()), disposing(sweepers[1].work_engine()):
            await asyncio.gather(
                *(sweeper.sweeping().sweeper().round() for sweeper in sweepers),
                *(_pay(shop, order) for order in orders[::2]),
            )
        for sweeper in sweepers:
            assert sweeper.registry().get_sample_value("orders_sweep_failures_total", {"step": "due"}) is None, "no step has failed"
        found = [await customer.get(order.name) for order in orders]
        paid = [order for order in found if order.state == order_pb2.ORDER_STATE_PAID]
        expired = [order for order in found if order.state == order_pb2.ORDER_STATE_EXPIRED]
        assert len(paid) + len(expired) == ORDERS
        assert set(await releases(shop)) == {1}, "nothing is given back twice"
        for sku in skus:
            level = await counter.level(sku)
            assert (level.reserved, level.on_hand) == (0, ORDERS - sum(any(one.sku == sku for one in order.lines) for order in paid))
        assert await counter.broken_rules() == []
        assert (await counter.rows(DEADLOCKS))[0].deadlocks == deadlocks
        for order in found:
            assert len(await customer.events(order.name)) == 2


async def _crossing(shop: Shop, place: int, skus: list[str]) -> Order:
    """An order that is past its time, of two of the SKUs, now in this order and now in that."""
    first, second = skus[place % 4], skus[(place + 1) % 4]
    pair = (first, second) if place % 2 else (second, first)
    order = await shop.counter.ordered(shop.crew.customer, *map(line, pair))
    await shop.counter.due(order)
    return order


async def _pay(shop: Shop, order: Order) -> None:
    try:
        await shop.counter.steps.settle(order_id(order))
    except OrderStateRefused:
        return  # a sweeper was faster


async def test_orders_whose_payment_provider_is_away_wait_for_it_and_end_when_it_has_agreed(open_for: OpenShop) -> None:
    word = Word(Verdict.UNKNOWN)
    async with open_for(arbiter=word, background_work=False, sweep_batch=2) as shop:
        sweeper = shop.container.sweeping().sweeper()
        orders = [await shop.counter.ordered(shop.crew.customer) for _ in range(5)]
        for order in orders:
            await shop.counter.due(order)
        for _ in range(2):
            await sweeper.round()
        waiting = [await shop.crew.customer.get(order.name) for order in orders]
        assert {order.pending_operation for order in waiting} == {order_pb2.PENDING_OPERATION_CANCELLING}
        assert {order.state for order in waiting} == {order_pb2.ORDER_STATE_PENDING_PAYMENT}
        assert len(await shop.crew.customer.events(waiting[0].name)) == 2, "it is noted once that it waits"
        assert min(word.asked.count(order_id(order)) for order in orders) >= 2, "everybody's is asked for in each round"

        word.verdict = Verdict.CANCELLED
        await sweeper.round()
        for order in orders:
            assert (await shop.crew.customer.get(order.name)).state == order_pb2.ORDER_STATE_EXPIRED
        assert await releases(shop) == [1] * 5


async def test_reservations_and_lots_that_ran_out_are_ended_too(open_for: OpenShop) -> None:
    async with open_for(background_work=False, sweep_batch=2) as shop:
        sku = await shop.counter.medicine(stock=0)
        await shop.counter.lot(sku, 10, "FRESH")
        await shop.counter.lot(sku, 5, "STALE", keeps_days=-1)
        location = shop.counter.location_id
        await shop.counter.rows(
            """with made as (insert into reservation (reservation_id, location_id, state, expires_at)
                   select gen_random_uuid(), %s, 'HELD', clock_timestamp() - interval '1 second' from generate_series(1, 5)
                   returning reservation_id),
               lines as (insert into reservation_line (reservation_id, sku, quantity) select reservation_id, %s, 1 from made returning 1),
               level as (update stock_level set reserved = 5 where sku = %s returning *)
               insert into stock_movement (location_id, sku, kind, on_hand_delta, reserved_delta, on_hand_after, reserved_after,
                                           lot_delta, reason, actor, reference)
               select location_id, sku, 'RESERVE', 0, 5, on_hand, reserved, 0, '', 'tests', '' from level""",
            *(location, sku, sku),
        )
        await shop.container.sweeping().sweeper().round()
        level = await shop.counter.level(sku)
        assert (level.on_hand, level.reserved) == (10, 0)
        assert await shop.counter.broken_rules() == []
