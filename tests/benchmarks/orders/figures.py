"""The figures that the orders service is held to."""

from __future__ import annotations

from collections.abc import Sequence

from tests.benchmarks.figures import AT_LEAST, AT_MOST, EXACTLY, Figure, rates
from tests.benchmarks.measured import Measured
from tests.benchmarks.orders.contention import Crossed, Sale
from tests.benchmarks.orders.statements import ReadStatements

# What is measured for a time, in rounds.
TIMED = {
    "create": "CreateOrder, 3 lines, spread over all SKUs",
    "create_working": "CreateOrder, the same, while the process also works off jobs and feed",
    "order_pgbench": "pgbench, the same rows written statement by statement",
    "create_hot": "CreateOrder, 3 lines, one of them the same SKU for all",
    "create_long": "one at a time: CreateOrder, 200 lines",
    "get": "one at a time: GetOrder, 1 line",
    "get_long": "one at a time: GetOrder, 200 lines",
}
PAGES = {
    "list_few": "one at a time: ListOrders, pages of 20 among 10 thousand orders",
    "list_many": "one at a time: ListOrders, pages of 20 among all",
    "search_few": "one at a time: SearchOrders, pages of 20 among 10 thousand orders",
    "search_many": "one at a time: SearchOrders, pages of 20 among all",
}
# What is counted.
COUNTED = {
    "sale": "500 buyers at once, 50 units",
    "crossed": "carts of the same SKUs, crossed",
    "statements": "statements of GetOrder",
}
TITLES = TIMED | PAGES | COUNTED


def _winners(sales: Sequence[Sale]) -> float:
    """Returns the number of winners that is furthest from what it should be."""
    return max((sale.winners for sale in sales), key=lambda winners: abs(winners - sales[0].units))


def _longest_s(sales: Sequence[Sale]) -> float:
    return max(sale.longest_s for sale in sales)


def _deadlocks(crossed: Crossed) -> float:
    return crossed.deadlocks


def _times(many: Measured, few: Measured) -> float:
    """Compares what calls take on average, so that rare slow ones count."""
    return few.per_s / many.per_s


def _statements(statements: ReadStatements) -> float:
    return statements.of_200_lines / statements.of_one_line


FIGURES = (
    Figure("CreateOrder of 3 lines/s, one process, to pgbench writing the same rows", AT_LEAST, 0.3, ("create", "order_pgbench"), rates),
    Figure("CreateOrder/s with one hot SKU in every cart, to spread SKUs", AT_LEAST, 0.5, ("create_hot", "create"), rates),
    Figure("500 buyers at once for 50 units: how many win", EXACTLY, 50, ("sale",), _winners),
    Figure("500 buyers at once for 50 units: the longest wait for an answer, seconds", AT_MOST, 2, ("sale",), _longest_s),
    Figure("crossed carts of 4 lines from 12 workers: deadlocks", EXACTLY, 0, ("crossed",), _deadlocks),
    Figure("ListOrders page among 1 million orders, to 10 thousand: mean time", AT_MOST, 1.5, ("list_many", "list_few"), _times),
    Figure("SearchOrders page among 1 million orders, to 10 thousand: mean time", AT_MOST, 1.5, ("search_many", "search_few"), _times),
    Figure("GetOrder statements for 200 lines, to those for 1 line", EXACTLY, 1, ("statements",), _statements),
)  # fmt: skip
