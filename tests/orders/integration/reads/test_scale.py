"""What a page costs: a bounded number of orders is looked at, however many there are and however rare the match."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.adapters.postgres import order_pages
from services.orders.adapters.postgres.order_pages import PostgresOrderPages
from services.orders.adapters.postgres.tables import SCHEMA
from services.orders.application.ordering.read_ports import OrderFilter, OrderPage, OrderSearch, Place
from services.orders.domain.ordering.filter import parse_filter
from services.orders.domain.ordering.search import query_words
from services.orders.migrations.schema import schema
from shared.postgres.conninfo import service_conninfo
from shared.postgres.engine import disposing, make_engine
from shared.postgres.migrations import migrate
from shared.testing.databases import fresh_database
from tests.orders.many_orders import write_many_orders

ORDERS = 20_000
FIRST_LOOKS, LOOKS, FEW = 100, 1_000, 50
PAGE = 20
# The first looks once more for a sample, the page and the one behind it, the few and the one too many.
ROWS_MAX = FIRST_LOOKS + LOOKS + 2 * (PAGE + 1) + 2 * (FEW + 1)


@pytest_asyncio.fixture(scope="module")
async def many(postgres_server_uri: str) -> AsyncIterator[AsyncEngine]:
    with fresh_database(postgres_server_uri) as uri:
        migrate(schema, uri)
        write_many_orders(uri, ORDERS)
        async with disposing(make_engine(service_conninfo(uri, schema=SCHEMA, role=None), size_max=2)) as engine:
            yield engine


@pytest.fixture(autouse=True)
def looks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("FIRST_LOOKS", FIRST_LOOKS), ("LOOKS", LOOKS), ("FEW", FEW)):
        monkeypatch.setattr(order_pages, name, value)


def nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from nodes(child)


def orders_handled(plan: Mapping[str, Any]) -> float:
    """Returns how many rows of orders were read, those in vain too."""
    kinds = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    scans = [node for node in nodes(plan) if node.get("Relation Name") == "customer_order"]
    return float(sum(sum(node.get(kind, 0) for kind in kinds) * node["Actual Loops"] for node in scans))


async def explained(engine: AsyncEngine, asked: list[tuple[str, Any]]) -> list[Mapping[str, Any]]:
    """Runs the statements again in a transaction; returns their plans."""
    plans = []
    async with engine.connect() as connection:
        for statement, parameters in asked:
            if "set_config" in statement:
                await connection.exec_driver_sql(statement, parameters)
                continue
            found = await connection.exec_driver_sql(f"explain (analyze, timing off, format json) {statement}", parameters)
            plans.append(found.scalar_one()[0]["Plan"])
    return plans


async def page_of(engine: AsyncEngine, kind: str, text: str, after: Place | None = None) -> tuple[OrderPage, float]:
    """Returns a page, and how many orders were read for it."""
    page, plans = await page_and_plans(engine, kind, text, after)
    return page, sum(map(orders_handled, plans))


async def page_and_plans(
    engine: AsyncEngine, kind: str, text: str, after: Place | None = None
) -> tuple[OrderPage, list[Mapping[str, Any]]]:
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    try:
        pages = PostgresOrderPages(engine)
        if kind == "list":
            page = await pages.list(OrderFilter(None, parse_filter(text), after, PAGE))
        else:
            page = await pages.search(OrderSearch(query_words(text), after, PAGE))
    finally:
        event.remove(engine.sync_engine, "before_cursor_execute", note)
    return page, await explained(engine, asked)


@pytest.mark.parametrize(
    ("kind", "text", "least"),
    [
        ("list", "", PAGE),
        ("list", "state = COMPLETED", PAGE),
        ("list", "state = RETURNED", PAGE),
        ("list", "state = RETURNED AND has_rx = true", PAGE),
        ("list", 'assignee = "customers/staff-3"', 1),
        ("list", 'assignee = "customers/nobody"', 0),
        ("list", "has_rx = true", PAGE),
        ("list", "total = 77", 0),
        ("list", 'create_time < "2024-01-01T00:10:00Z"', PAGE),
        ("list", "sku = COMMON", PAGE),
        ("list", "sku = RARE", 1),
        ("list", "sku = SOME", PAGE),
        ("list", "sku = NONE", 0),
        ("list", "sku = COMMON AND sku = RARE", 1),
        ("search", "common", PAGE),
        ("search", "ibu alex", PAGE),
        ("search", "unique", 1),
        ("search", "alex unique", 1),
        ("search", "nobody", 0),
        ("search", "some", 2),
        ("search", "a i c 4", PAGE),
        ("search", "a b c d e f g h i j", 0),
    ],
)
async def test_no_page_goes_through_all_orders(many: AsyncEngine, kind: str, text: str, least: int) -> None:
    page, handled = await page_of(many, kind, text)

    assert len(page.orders) >= least
    assert handled <= ROWS_MAX
    if page.following is not None:
        _, handled = await page_of(many, kind, text, page.following)
        assert handled <= ROWS_MAX


@pytest.mark.parametrize("text", ["", "state = COMPLETED", 'create_time < "2024-01-01T03:00:00Z"', "state = RETURNED"])
async def test_what_an_index_orders_is_read_no_further_than_the_page(many: AsyncEngine, text: str) -> None:
    page, handled = await page_of(many, "list", text)

    assert len(page.orders) == PAGE
    assert handled <= 2 * PAGE + 1


async def test_words_that_everybody_has_are_not_looked_up_in_the_index(many: AsyncEngine) -> None:
    """A million orders would have to be collected there."""
    _, plans = await page_and_plans(many, "search", "alex unique")

    (looked_up,) = [node["Index Cond"] for plan in plans for node in nodes(plan) if node["Node Type"] == "Bitmap Index Scan"]
    assert "unique" in looked_up
    assert "alex" not in looked_up
