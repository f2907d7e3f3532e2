"""Orders that were made in earnest, as lists, searches and watches show them."""

from __future__ import annotations

from galen.orders.v1 import order_service_pb2 as messages
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.adapters.postgres.order_feed import PostgresFeedWriter
from shared.testing.identities import Metadata
from tests.orders.counter import Crew
from tests.orders.orders_client import line
from tests.orders.watching import watching


def staff_metadata(crew: Crew) -> Metadata:
    return crew.counter.identities.customer("reader", roles=("staff",))


async def test_an_order_is_listed_as_it_is_read_but_for_its_lots(crew: Crew) -> None:
    order = await crew.in_state("READY")
    caller = crew.counter.identities.customer(crew.customer.id)

    listed = await crew.customer.stub.ListOrders(messages.ListOrdersRequest(parent=crew.customer.name), metadata=caller)

    read = await crew.customer.get(order.name)
    assert read.lines[0].lots
    for one in read.lines:
        del one.lots[:]
    assert list(listed.orders) == [read]


async def test_an_order_is_found_by_its_number_name_phone_and_medicines(crew: Crew) -> None:
    sku = await crew.counter.medicine(display_name="Zyxoprofén forte")
    order = await crew.counter.ordered(crew.customer, line(sku))
    queries = (
        order.order_number,
        order.order_number[:9],
        f"{order.contact.display_name.upper()} {sku}",
        f"{order.contact.phone} {sku}",
        f"zyxoprofen {sku[:12]} {order.order_number[:6]}",
    )

    for query in queries:
        found = await crew.staff.stub.SearchOrders(messages.SearchOrdersRequest(query=query), metadata=staff_metadata(crew))
        assert order.name in [one.name for one in found.orders], query


async def test_what_happens_to_an_order_is_told(crew: Crew, database: AsyncEngine) -> None:
    writer = PostgresFeedWriter(database)
    async with watching(crew.staff.stub, staff_metadata(crew), crew.customer.name) as watcher:
        order = await crew.in_state("COMPLETED")
        while await writer.move(1000):
            pass
        happened = await crew.customer.events(order.name)
        await watcher.hear_events(len(happened))

    assert watcher.events == happened
