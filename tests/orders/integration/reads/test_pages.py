"""Pages of orders as they are found: all that match, newest first, each once, whatever way they are looked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from itertools import count
from random import Random
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.adapters.postgres import order_pages
from services.orders.adapters.postgres.order_pages import PostgresOrderPages
from services.orders.application.ordering.read_ports import OrderFilter, OrderSearch
from services.orders.domain.ordering.filter import (
    AssigneeTerm,
    CreateTimeTerm,
    HasRxTerm,
    Operator,
    SkuTerm,
    StateTerm,
    Term,
    TotalTerm,
    parse_filter,
)
from services.orders.domain.ordering.model import Order, State
from services.orders.domain.ordering.search import query_words
from tests.orders.filters import filter_text, passes
from tests.orders.written_orders import LONG_AGO, Connection, WrittenOrder, write_orders

CUSTOMERS = ("pages-1", "pages-2", "pages-3")
SKUS = ("P-COMMON", "P-SOME", "P-RARE")
ASSIGNEES = ("", "customers/p-1", "customers/p-2")
NAMES = ("Quendolin Pages", "Ruprecht Pages", "Quirin Élan Pages")
ORDERS = 60


def made_up(seed: int) -> Sequence[WrittenOrder]:
    """Orders of which several were made at the same moment; only one has the rare SKU."""
    random = Random(seed)
    return [
        WrittenOrder(
            customer_id=random.choice(CUSTOMERS),
            id=UUID(int=random.getrandbits(128)),
            created_at=LONG_AGO + timedelta(minutes=number // 4),
            state=random.choice([State.PAID, State.READY, State.RETURNED]),
            total_minor=random.choice([100, 200, 300]),
            skus=[SKUS[0], *([SKUS[1]] if random.random() < 0.2 else []), *([SKUS[2]] if number == 7 else [])],
            assignee=random.choice(ASSIGNEES),
            has_rx=random.random() < 0.5,
            contact_name=random.choice(NAMES),
        )
        for number in range(ORDERS)
    ]


@pytest_asyncio.fixture(scope="module")
async def orders(reads_settings: Any) -> AsyncIterator[Sequence[WrittenOrder]]:
    import psycopg

    from shared.postgres.conninfo import service_conninfo

    written = made_up(1)
    conninfo = service_conninfo(reads_settings.database_uri, schema="orders", role=None)
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        await write_orders(connection, *written)
        yield sorted(written, key=lambda order: (order.created_at, order.id), reverse=True)
        await connection.execute("delete from order_item where sku = any(%s)", [[*SKUS]])
        await connection.execute("delete from customer_order where customer_id = any(%s)", [[*CUSTOMERS]])


@pytest.fixture(params=[(1000, 10_000, 1000), (5, 12, 1), (1, 3, 1000), (7, 8, 3), (2, 500, 0)], ids=str)
def looks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many orders are looked at, and how many matches are few: with so few orders, each way of looking needs its own numbers."""
    for name, value in zip(("FIRST_LOOKS", "LOOKS", "FEW"), request.param, strict=True):
        monkeypatch.setattr(order_pages, name, value)


async def all_listed(pages: PostgresOrderPages, customer_id: str | None, terms: Sequence[Term], limit: int) -> list[UUID]:
    """Turns all the pages."""
    found: list[UUID] = []
    wanted = OrderFilter(customer_id, tuple(terms), None, limit)
    for turned in count():
        page = await pages.list(wanted)
        assert len(page.orders) <= limit
        assert turned < 200
        found += [order.id for order in page.orders]
        if page.following is None:
            return found
        wanted = OrderFilter(customer_id, tuple(terms), page.following, limit)
    raise AssertionError


async def all_found(pages: PostgresOrderPages, query: str, limit: int) -> list[UUID]:
    found: list[UUID] = []
    wanted = OrderSearch(query_words(query), None, limit)
    for turned in count():
        page = await pages.search(wanted)
        assert len(page.orders) <= limit
        assert turned < 200
        found += [order.id for order in page.orders]
        if page.following is None:
            return found
        wanted = OrderSearch(query_words(query), page.following, limit)
    raise AssertionError


def some_terms(random: Random) -> Sequence[Term]:
    order = random.choice(made_up(1))
    compare = random.choice(list(Operator))
    either = random.choice([Operator.EQUAL, Operator.NOT_EQUAL])
    every: list[Term] = [
        StateTerm(either, order.state),
        CreateTimeTerm(compare, order.created_at),
        TotalTerm(compare, order.total_minor),
        SkuTerm(random.choice([*SKUS, "P-NONE"])),
        AssigneeTerm(order.assignee),
        HasRxTerm(order.has_rx),
    ]
    return random.sample(every, random.randint(0, 4))


@pytest.mark.parametrize("seed", range(10))
async def test_a_filter_lists_just_what_it_means(orders: Sequence[WrittenOrder], looks: None, reads_engine: AsyncEngine, seed: int) -> None:
    random = Random(seed)
    terms, limit = some_terms(random), random.choice([1, 3, 10, 100])
    customer_id = random.choice([None, *CUSTOMERS])

    found = await all_listed(PostgresOrderPages(reads_engine), customer_id, terms, limit)

    ours = {order.id for order in orders}
    expected = [order.id for order in orders if customer_id in (None, order.customer_id) and passes(order.facts, terms)]
    assert [order_id for order_id in found if order_id in ours] == expected, filter_text(terms)


@pytest.mark.parametrize(
    "query",
    ["pages", "quen", "quirin elan", "ÉLAN", "ruprecht p-common", "p-rare", "p rare quendolin", "49 30 555 pages", "pages nobody", "q r"],
)
async def test_a_search_finds_just_what_has_all_the_words(
    orders: Sequence[WrittenOrder], looks: None, reads_engine: AsyncEngine, query: str
) -> None:
    found = await all_found(PostgresOrderPages(reads_engine), query, 3)

    ours = {order.id for order in orders}
    expected = [order.id for order in orders if all(any(one.startswith(word) for one in order.words) for word in query_words(query))]
    assert [order_id for order_id in found if order_id in ours] == expected


@pytest.mark.parametrize("text", ["sku = P-SOME", "sku = P-SOME AND state != PAID", "sku = P-COMMON AND sku = P-RARE"])
async def test_orders_with_a_rare_sku_are_paged_through_too(
    orders: Sequence[WrittenOrder], looks: None, reads_engine: AsyncEngine, text: str
) -> None:
    terms = parse_filter(text)

    found = await all_listed(PostgresOrderPages(reads_engine), None, terms, 2)

    assert found == [order.id for order in orders if passes(order.facts, terms)]


class Statements:
    """Counts what an engine is asked."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.sync_engine
        self.count = 0

    def __enter__(self) -> Statements:
        event.listen(self._engine, "before_cursor_execute", self._counted)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self._counted)

    def _counted(self, *_: object) -> None:
        self.count += 1


async def test_a_page_is_as_many_statements_however_long_the_orders_are(reads_engine: AsyncEngine, writer: Connection) -> None:
    pages = PostgresOrderPages(reads_engine)
    counts = []
    for lines in (1, 200):
        customer_id = f"long-{lines}"
        skus = [f"L-{number}" for number in range(lines)]
        await write_orders(writer, *(WrittenOrder(customer_id, skus=skus) for _ in range(10)))
        with Statements(reads_engine) as statements:
            page = await pages.list(OrderFilter(customer_id, (), None, 10))
        assert [len(order.lines) for order in page.orders] == [lines] * 10
        counts.append(statements.count)

    assert counts == [3, 3]


async def test_a_page_of_orders_too_long_for_a_message_is_short_and_goes_on(
    reads_engine: AsyncEngine, writer: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_pages, "LINES", 7)
    monkeypatch.setattr(order_pages, "ORDERS_AT_ONCE", 2)
    written = [WrittenOrder("heavy", skus=[f"H-{number}" for number in range(lines)]) for lines in (3, 3, 3, 9, 1, 1)]
    await write_orders(writer, *written)

    found = await all_listed(PostgresOrderPages(reads_engine), "heavy", (), 4)

    assert found == sorted((order.id for order in written), reverse=True)


async def test_a_page_is_of_one_moment(reads_engine: AsyncEngine, writer: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order that changes between the statements of a page is shown as it was when it was found."""
    written = WrittenOrder("moment", state=State.PAID)
    await write_orders(writer, written)
    read_orders: Any = order_pages._orders

    async def after_a_change(*arguments: Any) -> Sequence[Order]:
        await writer.execute("update customer_order set state = 8 where order_id = %s", [written.id])
        found: Sequence[Order] = await read_orders(*arguments)
        return found

    monkeypatch.setattr(order_pages, "_orders", after_a_change)
    page = await PostgresOrderPages(reads_engine).list(OrderFilter("moment", (StateTerm(Operator.EQUAL, State.PAID),), None, 10))

    assert [order.state for order in page.orders] == [State.PAID]
