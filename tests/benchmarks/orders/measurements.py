"""What is measured of the orders service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from tests.benchmarks.measured import Measured, Measurement, measured_load, measured_script
from tests.benchmarks.orders import data
from tests.benchmarks.orders.contention import cross_carts, sell_out
from tests.benchmarks.orders.script import CREATE_ORDER
from tests.benchmarks.orders.statements import count_statements
from tests.benchmarks.orders.workbench import OrdersBench, remembered
from tests.benchmarks.servers import BenchmarkFailed, Server, postgres_cpu_s

PGBENCH_CLIENTS = (8, 16, 32)
# As many as pgbench may have, which is taken at its best.
IN_FLIGHT = max(PGBENCH_CLIENTS)
ONE_AT_A_TIME_PER_S = 1_000
LONG_CARTS_PER_S = 60

Pick = Callable[[], Sequence[str]]


class OrderMeasurements:
    """Measures the parts of a workbench, `seconds` each time."""

    def __init__(self, bench: OrdersBench, seconds: float) -> None:
        self._bench = bench
        self._seconds = seconds
        self._short, self._long = (bench.make_order(lines).name for lines in (1, data.LONG_CART))
        bench.make_order(data.CART)
        self._row = remembered(bench.uri)

    def timed(self) -> dict[str, Measurement]:
        """Returns what takes time, by name, in the order in which it is done."""
        return {
            "create": partial(self._create, data.spread),
            "order_pgbench": self._pgbench,
            "create_hot": partial(self._create, data.hot),
            "create_long": self._create_long,
            "get": partial(self._get, self._short),
            "get_long": partial(self._get, self._long),
        }

    def working(self, server: Server) -> Measurement:
        """Returns the measurement of a service that works off its jobs and its feed besides."""
        return partial(self._create, data.spread, server)

    def counted(self, sales: int) -> Mapping[str, Callable[[], Any]]:
        """Returns what is counted, by name."""
        return {
            "sale": lambda: [sell_out(self._bench, number) for number in range(1, sales + 1)],
            "crossed": lambda: cross_carts(self._bench, self._seconds),
            "statements": lambda: count_statements(self._bench.uri, self._short, self._long),
        }

    def pages(self, server: Server, orders: int) -> tuple[Measurement, Measurement]:
        """Returns the measurements of lists and of searches among so many orders."""
        count, page_tokens = round(ONE_AT_A_TIME_PER_S * self._seconds), self._bench.page_tokens
        lists, searches = (make(page_tokens, orders, count) for make in (data.lists, data.searches))
        return partial(self._one_by_one, "ListOrders", lists, server), partial(self._one_by_one, "SearchOrders", searches, server)

    def _create(self, pick: Pick, server: Server | None = None) -> Measured:
        bodies = data.carts(pick, round(self._bench.requests_per_s * self._seconds))
        return self._measured("CreateOrder", bodies, server or self._bench.orders, IN_FLIGHT)

    def _create_long(self) -> Measured:
        bodies = data.carts(partial(data.spread, data.LONG_CART), round(LONG_CARTS_PER_S * self._seconds))
        return self._measured("CreateOrder", bodies, self._bench.orders, 1)

    def _get(self, name: str) -> Measured:
        return self._one_by_one("GetOrder", data.gets([name], round(ONE_AT_A_TIME_PER_S * self._seconds)), self._bench.orders)

    def _one_by_one(self, method: str, bodies: Sequence[bytes], server: Server) -> Measured:
        return self._measured(method, bodies, server, 1)

    def _pgbench(self) -> Measured:
        """Takes the best of several numbers of clients."""
        return max((self._script(clients) for clients in PGBENCH_CLIENTS), key=lambda measured: measured.per_s)

    def _script(self, clients: int) -> Measured:
        before = postgres_cpu_s(self._bench.postgres)
        variables = {"customers": data.CUSTOMERS, **self._row}
        found = self._bench.pgbench.run(CREATE_ORDER, clients=clients, seconds=self._seconds / len(PGBENCH_CLIENTS), variables=variables)
        return measured_script(found, postgres_cpu_s(self._bench.postgres) - before)

    def _measured(self, method: str, bodies: Sequence[bytes], server: Server, in_flight: int) -> Measured:
        """Makes the calls; raises BenchmarkFailed if one was refused."""
        before = self._bench.cpu_s(server)
        # One at a time is steady, and there are many of those.
        duration_s = self._seconds / 2 if in_flight == 1 else self._seconds
        found = self._bench.call(method, server, bodies, in_flight=in_flight, duration_s=duration_s)
        if found.errors_by_status or not found.calls:
            raise BenchmarkFailed(f"{method} failed: {found.errors_by_status}")
        return measured_load(found, before, self._bench.cpu_s(server))
