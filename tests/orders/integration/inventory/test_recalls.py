"""A lot is called back: everywhere, and its orders are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import pytest_asyncio

from services.orders.container import OrdersContainer, service_parts
from services.orders.settings import OrdersSettings
from shared.testing.errors import refusal_of
from shared.testing.servers import served
from tests.orders.integration.inventory.conftest import CAUSE, Shop
from tests.orders.integration.inventory.desk import DESTROYED, FOUND, RECALLED, SELLABLE, Desk
from tests.orders.stock_rows import add_location, add_lot, days
from tests.orders.world import add_order_row, new_customer


@pytest_asyncio.fixture
async def worker(orders_settings: OrdersSettings, shop: Shop) -> AsyncIterator[None]:
    """A process beside the server that runs jobs, as long as a test needs one: other tests count the jobs in this database."""
    async with shop.transaction() as connection:
        await connection.exec_driver_sql("delete from procrastinate_jobs")  # those that other tests have left
    async with served(service_parts(OrdersContainer(settings=orders_settings))):
        yield


async def test_a_recall_reaches_all_locations_whatever_the_state(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine()
    async with shop.transaction() as connection:
        elsewhere = await add_location(connection)
        await add_lot(connection, sku, 4, location=elsewhere, number="BAD", state="QUARANTINED")
    lot = (await desk.receive(sku, 10, days(100), lot_number="BAD")).lot
    other = (await desk.receive(sku, 2, days(100), lot_number="GOOD")).lot

    recall = await desk.call("RecallLot", sku=sku, lot_number="BAD", reason="glass")
    again = await desk.call("RecallLot", sku=sku, lot_number="BAD", reason="glass")

    assert {(one.name.split("/")[1], one.state, one.on_hand) for one in recall.lots} == {
        (shop.location, RECALLED, 10),
        (elsewhere, RECALLED, 4),
    }
    assert {one.name for one in again.lots} == {one.name for one in recall.lots}
    assert (await desk.level(sku)).on_hand == 2
    assert (await desk.lot(other.name)).state == SELLABLE
    assert (await refusal_of(desk.call("RecallLot", sku=sku, lot_number="none", reason="glass"))).reason == "LOT_NOT_FOUND"
    for refused in (
        desk.call("ReleaseLot", name=lot.name, reason="no glass"),
        desk.call("QuarantineLot", name=lot.name, reason="no glass"),
        desk.adjust(lot.name, 10, delta=1, reason=FOUND),
        desk.receive(sku, 1, days(100), lot_number="BAD"),
    ):
        error = await refusal_of(refused)
        assert (error.reason, error.metadata) == ("LOT_STATE", {"state": "RECALLED"})
    assert (await desk.adjust(lot.name, 10, counted=0, reason=DESTROYED)).lot.on_hand == 0


async def test_nobody_receives_what_was_recalled_elsewhere(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine()
    async with shop.transaction() as connection:
        await add_lot(connection, sku, 4, location=await add_location(connection), number="BAD")
    await desk.call("RecallLot", sku=sku, lot_number="BAD", reason="glass")

    assert (await refusal_of(desk.receive(sku, 1, days(100), lot_number="BAD"))).metadata == {"state": "RECALLED"}


async def test_a_recall_tells_which_orders_have_units_of_the_lot_newest_first(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine()
    await desk.receive(sku, 20, days(10), lot_number="BAD")
    await desk.receive(sku, 20, days(20), lot_number="GOOD")
    customer = new_customer()
    placed = [await place_order(shop, customer, {sku: quantity}) for quantity in (3, 2, 4)]
    await shop.sold({sku: 1})  # of no order
    held = await place_order(shop, customer, {sku: 1}, paid=False)
    given_back = await place_order(shop, customer, {sku: 5})
    after = await place_order(shop, customer, {sku: 12})  # 5 of BAD are left: those and 7 of GOOD
    async with shop.stock() as stock:
        await stock.restock(given_back[1], CAUSE)
        await stock.take_back(placed[1][1], {sku: 1}, CAUSE)

    recall = await desk.call("RecallLot", sku=sku, lot_number="BAD", reason="glass")

    assert [(one.order, one.quantity, one.state) for one in recall.orders] == [
        (f"customers/{customer}/orders/{order}", quantity, "PENDING_PAYMENT")
        for (order, _), quantity in zip((after, placed[2], placed[1], placed[0]), (5, 4, 1, 3), strict=True)
    ]
    assert recall.orders_total == 4
    assert held[0] not in [one.order for one in recall.orders]
    assert len(recall.orders[0].order_number) > 10


@pytest.mark.usefixtures("worker")
async def test_every_order_with_units_of_a_recalled_lot_is_told_once(shop: Shop, desk: Desk) -> None:
    sku, _ = await shop.medicine()
    await desk.receive(sku, 20, days(10), lot_number="BAD")
    await desk.receive(sku, 20, days(20), lot_number="GOOD")
    orders = [(await place_order(shop, new_customer(), {sku: 8}))[0] for _ in range(3)]  # the third has 4 of each

    await desk.call("RecallLot", sku=sku, lot_number="BAD", reason="glass")
    await until_told(shop, orders)
    await desk.call("RecallLot", sku=sku, lot_number="BAD", reason="more glass")
    last = (await place_order(shop, new_customer(), {sku: 8}))[0]
    await desk.call("RecallLot", sku=sku, lot_number="GOOD", reason="dust")
    await until_told(shop, [orders[2], last], lot="GOOD")

    assert await told(shop, orders[0]) == [("BAD", "glass", "system")]
    assert await told(shop, orders[2]) == [("BAD", "glass", "system"), ("GOOD", "dust", "system")]
    assert await told(shop, last) == [("GOOD", "dust", "system")]


async def place_order(shop: Shop, customer: str, lines: dict[str, int], *, paid: bool = True) -> tuple[UUID, UUID]:
    """Returns the ids of an order's row and its reservation."""
    async with shop.transaction() as connection:
        order_id = await add_order_row(connection, customer)
        for position, (sku, quantity) in enumerate(lines.items()):
            await connection.exec_driver_sql(
                """insert into order_item (order_id, position, sku, display_name, form, strength, unit_price_minor, total_minor, quantity,
                                           returned_quantity, rx_required, cold_chain, schedule)
                   values (%s, %s, %s, '', '', '', 1, 1, %s, 0, false, false, 0)""",
                (order_id, position, sku, quantity),
            )
    reservation_id = await shop.hold(lines, order_id=order_id)
    if paid:
        async with shop.stock() as stock:
            await stock.commit(reservation_id, CAUSE)
    return order_id, reservation_id


async def told(shop: Shop, order_id: UUID) -> list[tuple[str, str, str]]:
    """Returns lot, reason and actor of each recall that the order knows of."""
    async with shop.engine.connect() as connection:
        found = await connection.exec_driver_sql(
            "select details ->> 'lot' as lot, reason, actor from order_event where order_id = %s and kind = 9 order by number", (order_id,)
        )
        return [(row.lot, row.reason, row.actor) for row in found]


async def until_told(shop: Shop, orders: list[UUID], lot: str = "BAD") -> None:
    """Waits until each order knows of the lot's recall."""
    async with asyncio.timeout(30):
        for order in orders:
            while lot not in [number for number, *_ in await told(shop, order)]:  # noqa: ASYNC110  a job does it, in its own time
                await asyncio.sleep(0.05)
