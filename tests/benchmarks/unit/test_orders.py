"""What is made of measurements of the orders service, and the requests that it is measured with."""

from __future__ import annotations

from pathlib import Path

from galen.orders.v1 import order_service_pb2 as messages

from shared.grpc.page_tokens import PageTokens
from tests.benchmarks.figures import compare
from tests.benchmarks.measured import Measured
from tests.benchmarks.orders import data
from tests.benchmarks.orders.contention import Crossed, Sale
from tests.benchmarks.orders.figures import FIGURES, PAGES, TIMED, TITLES
from tests.benchmarks.orders.run import OrdersPlan, section
from tests.benchmarks.orders.statements import ReadStatements
from tests.benchmarks.report import Run, write

PLAN = OrdersPlan(seconds=5.0, rounds=3, orders=1_000_000, only=set(TITLES))


def sale(winners: int, longest_s: float = 0.5) -> Sale:
    return Sale(buyers=500, units=50, winners=winners, longest_s=longest_s, overloaded=7)


def value_of(results: dict[str, object]) -> list[tuple[float, bool]]:
    return [(figure.value, figure.holds) for figure in compare(results, FIGURES)]


def test_one_sale_that_went_wrong_spoils_the_figure() -> None:
    assert value_of({"sale": [sale(50), sale(50, 1.5)]}) == [(50, True), (1.5, True)]
    assert value_of({"sale": [sale(50), sale(51), sale(50)]})[0] == (51, False)
    assert value_of({"sale": [sale(50), sale(48, 2.5)]}) == [(48, False), (2.5, False)]


def test_a_deadlock_and_a_statement_for_each_line_are_seen() -> None:
    assert value_of({"crossed": Crossed(1000, 0)}) == [(0, True)]
    assert value_of({"crossed": Crossed(1000, 1)}) == [(1, False)]
    assert value_of({"statements": ReadStatements(3, 3)}) == [(1, True)]
    assert value_of({"statements": ReadStatements(3, 202)})[0][1] is False


def test_pages_are_compared_by_what_they_take_on_average() -> None:
    few, many = Measured(100, 1, 1, {}), Measured(50, 1, 1, {})
    assert value_of({"list_few": few, "list_many": many}) == [(2, False)]


def test_every_figure_is_made_of_measurements_that_have_a_title() -> None:
    assert {name for figure in FIGURES for name in figure.needs} <= TITLES.keys()


def test_the_page_tells_of_all_that_was_measured_and_counted(tmp_path: Path) -> None:
    measured = {name: Measured(1000, 1, 2, {"server": 10, "customers": 20, "postgres": 30}) for name in TIMED | PAGES}
    counted = {"sale": [sale(50)], "crossed": Crossed(1234, 0), "statements": ReadStatements(3, 3)}
    run = Run("make bench", {"processor": "one"}, {"fsync": "on"})
    write(tmp_path, run, section(PLAN, measured, counted, compare({**measured, **counted}, FIGURES)))

    page = (tmp_path / "benchmarks.md").read_text()
    assert all(title in page for title in (TIMED | PAGES).values())
    assert "0.50 s (7 buyers were told to come again)" in page
    assert "1,234 crossed carts" in page
    assert "3 statements for 1 line, 3 for 200" in page


def test_carts_have_as_many_skus_as_they_should_each_once() -> None:
    for pick, lines in ((data.spread, 3), (data.hot, 3), (data.crossed, 4)):
        for body in data.carts(pick, 50):
            request = messages.CreateOrderRequest.FromString(body)
            assert len({line.sku for line in request.lines}) == len(request.lines) == lines
            assert request.address.startswith(f"{request.parent}/addresses/")
    assert all(data.HOT in data.hot() for _ in range(20))


def test_crossed_carts_cross() -> None:
    orders = {tuple(data.crossed()) for _ in range(200)}
    assert any(first[:2] == second[1::-1] for first in orders for second in orders)


def test_all_buyers_of_a_sale_are_different_customers_with_requests_of_their_own() -> None:
    requests = [messages.CreateOrderRequest.FromString(body) for body in data.buyers(3)]
    assert len({request.parent for request in requests}) == len({request.request_id for request in requests}) == data.BUYERS
    assert {line.sku for request in requests for line in request.lines} == {"SALE-3"}


def test_requests_for_pages_carry_tokens_of_their_own_filter() -> None:
    page_tokens = PageTokens(b"key")
    requests = [messages.ListOrdersRequest.FromString(body) for body in data.lists(page_tokens, 10_000, 200)]
    places = [page_tokens.open(request) for request in requests]

    assert {request.filter for request in requests} >= {"", "state = PAID"}
    assert None in places
    assert all(place is None or place[0] >= "2024-01-01T02:30:00" for place in places)
