"""What an order costs in statements does not depend on how long it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
