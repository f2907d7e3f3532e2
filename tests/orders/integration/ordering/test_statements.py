"""What an order costs in statements does not depend on how long it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from galen.orders.v1.order_pb2 import ORDER_ACTION_PAY as PAY
from galen.orders.v1.order_pb2 import Order
from galen.orders.v1.order_service_pb2 import ListOrdersRequest, SearchOrdersRequest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.orders.counter import Counter, Crew, order_id
from tests.orders.integration.ordering.conftest import Ordering
from tests.orders.orders_client import line


@contextmanager
def statements_of(engine: AsyncEngine) -> Iterator[list[str]]:
    """Collects the statements that the engine runs in the block."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        # Whoever watches looks for what is new, and who says whether the service is ready tries the database, whenever they like.
        if "order_feed" not in statement and statement != "select 1":
            statements.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", note)


async def test_reading_an_order_takes_two_statements_whatever_the_cart(crew: Crew, ordering: Ordering) -> None:
    for count in (1, 200):
        skus = await crew.counter.medicines(count)
        order = await crew.in_state("PAID", *map(line, skus))
        with statements_of(ordering.container.engine()) as statements:
            assert len((await crew.customer.get(order.name)).lines) == len(skus)
        assert len(statements) == 2, statements
        with statements_of(ordering.container.engine()) as statements:
            await crew.customer.events(order.name)
        assert len(statements) == 3, statements


async def test_a_page_tells_which_orders_are_being_paid_in_as_many_statements_as_one_without_payments(
    crew: Crew, ordering: Ordering
) -> None:
    customer, counted = crew.customer, []
    orders = [await crew.counter.ordered(customer) for _ in range(3)]
    for paying in ((), orders[:2]):
        for order in paying:
            await started_payment(crew.counter, order)
        with statements_of(ordering.container.engine()) as statements:
            page = (await customer.stub.ListOrders(ListOrdersRequest(parent=customer.name), metadata=customer.metadata)).orders
        counted.append(len(statements))
        assert {order.name for order in page if PAY not in order.allowed_actions} == {order.name for order in paying}
        assert {order.name for order in page if order.payment.payment} == {order.name for order in paying}
    search = SearchOrdersRequest(query=orders[0].order_number)
    found = (await crew.staff.stub.SearchOrders(search, metadata=crew.staff.metadata)).orders

    assert counted == [3, 3]
    assert [PAY in order.allowed_actions for order in found] == [False]


async def started_payment(counter: Counter, order: Order) -> None:
    """Adds a payment that waits for its payer."""
    await counter.rows(
        """insert into payment (payment_id, order_id, customer_id, order_number, currency, method, state, wish, card_standing,
                                points_standing, card_minor, manual_capture, quarantined, settled, version, created_at, updated_at)
           select gen_random_uuid(), order_id, customer_id, order_number, currency, 1, 2, 1, 2, 0, payable_minor, false, false, false, 1,
                  now(), now() from customer_order where order_id = %s""",
        order_id(order),
    )


async def test_making_and_settling_an_order_takes_as_many_statements_for_200_lines_as_for_one(counter: Counter, ordering: Ordering) -> None:
    customer = counter.person()
    made, settled = set(), set()
    for count in (1, 200):
        skus = await counter.medicines(count)
        await counter.rows("update medicine set max_per_period = 50, period_days = 10, rx_required = true where sku = any(%s)", skus)
        prescription = await counter.prescription(customer, *skus)
        with statements_of(ordering.container.engine()) as statements:
            await counter.ordered(customer, *(line(sku, 1, prescription) for sku in skus))
        made.add(len(statements))

        plain = await counter.ordered(customer, *map(line, await counter.medicines(count)))
        with statements_of(ordering.container.work_engine()) as statements:
            await counter.steps.settle(order_id(plain))
        settled.add(len(statements))

    assert len(made) == len(settled) == 1
