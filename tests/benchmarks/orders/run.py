"""Measures the orders service and tells what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Held, compare
from tests.benchmarks.machine import describe
from tests.benchmarks.measured import Measured, rounds
from tests.benchmarks.orders import data
from tests.benchmarks.orders.contention import Crossed, Sale
from tests.benchmarks.orders.figures import FIGURES, PAGES, TIMED, TITLES
from tests.benchmarks.orders.measurements import IN_FLIGHT, PGBENCH_CLIENTS, OrderMeasurements
from tests.benchmarks.orders.statements import ReadStatements
from tests.benchmarks.orders.workbench import OrdersBench, orders_workbench
from tests.benchmarks.report import ORDERS, Run, Section, write

FEW_ORDERS = 10_000
COLUMNS = {"server": "orders", "customers": "customers", "postgres": "PostgreSQL", "generator": "generator"}
INTRODUCTION = """\
Every call goes through the whole chain (interceptor, token, policy, validation, limits, metrics, a log line). An order of its own
`request_id` is made for a random customer by somebody at the counter; a real `customers` process is asked for customer and address;
order, lines, reservation, levels, movements, event, outbox, job and remembered answer are one durable commit. {in_flight} calls
are in flight unless they are made one at a time; rates and latencies are the median of {rounds} measurements of {seconds:g} s (half of
that one at a time), made in turns. pgbench runs with prepared statements over TCP, at its best of {clients} clients. Nobody works off
the jobs, unless it says so. A buyer who is told to come again (OVERLOADED) is answered, too.
"""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class OrdersPlan:
    """What to measure; pages among so many orders, among none for 0."""

    seconds: float
    rounds: int
    orders: int
    only: set[str]


def measure_orders(plan: OrdersPlan, command: str, folder: Path, output: Path, say: Say) -> Sequence[Held]:
    """Measures in `folder`, writes into `output`; returns the figures. Raises BenchmarkFailed."""
    say(f"making {data.SKUS:,} medicines and {data.CUSTOMERS:,} customers")
    with orders_workbench(folder) as bench:
        measurements = OrderMeasurements(bench, plan.seconds)
        measured = rounds(_wanted(plan, measurements.timed()), plan.rounds, TITLES, say)
        measured |= _working(plan, bench, measurements, say)
        counted = {name: count() for name, count in _wanted(plan, measurements.counted(plan.rounds)).items()}
        measured |= _pages(plan, bench, measurements, say)
        run = Run(command, describe(folder), bench.postgres_settings)
    figures = compare({**measured, **counted}, FIGURES)
    write(output, run, section(plan, measured, counted, figures))
    return figures


def _wanted(plan: OrdersPlan, measurements: Mapping[str, Any]) -> dict[str, Any]:
    return {name: measure for name, measure in measurements.items() if name in plan.only}


def _working(plan: OrdersPlan, bench: OrdersBench, measurements: OrderMeasurements, say: Say) -> dict[str, Measured]:
    """Measures in a database of its own, where no jobs of other measurements wait."""
    if "create_working" not in plan.only:
        return {}
    with bench.database() as uri:
        data.seed_shop(uri)
        with bench.serving(uri, BACKGROUND_WORK="true") as server:
            return rounds({"create_working": measurements.working(server)}, 1, TITLES, say)


def _pages(plan: OrdersPlan, bench: OrdersBench, measurements: OrderMeasurements, say: Say) -> dict[str, Measured]:
    if not plan.orders or not plan.only & PAGES.keys():
        return {}
    pages: dict[str, Any] = {}
    with ExitStack() as stack:
        for name, count in (("few", FEW_ORDERS), ("many", plan.orders)):
            say(f"making {count:,} orders")
            uri = stack.enter_context(bench.database())
            data.seed_orders(uri, count)
            server = stack.enter_context(bench.serving(uri))
            pages[f"list_{name}"], pages[f"search_{name}"] = measurements.pages(server, count)
        return rounds(_wanted(plan, pages), plan.rounds, TITLES, say)


def section(plan: OrdersPlan, measured: Mapping[str, Measured], counted: Mapping[str, Any], figures: Sequence[Held]) -> Section:
    """Returns the part of the page."""
    introduction = INTRODUCTION.format(
        in_flight=IN_FLIGHT, rounds=plan.rounds, seconds=plan.seconds, clients=", ".join(map(str, PGBENCH_CLIENTS))
    )
    return Section(
        heading=ORDERS,
        introduction=introduction,
        note=" ".join(filter(None, (f"All orders are {plan.orders:,}." if plan.orders else "", *map(_told, counted.values())))),
        titles=TIMED | PAGES,
        columns=COLUMNS,
        results=measured,
        figures=figures,
        known=FIGURES,
    )


def _told(counted: Any) -> str:
    """Returns what was counted, as a sentence."""
    match counted:
        case [Sale(), *_]:
            waits = ", ".join(f"{sale.longest_s:.2f} s ({sale.overloaded} buyers were told to come again)" for sale in counted)
            return f"In sales of {counted[0].units} units to {counted[0].buyers} buyers the longest waits were {waits}."
        case Crossed():
            return f"{counted.orders:,} crossed carts were ordered."
        case ReadStatements():
            return f"GetOrder with events takes {counted.of_one_line} statements for 1 line, {counted.of_200_lines} for 200."
        case _:
            return ""
