"""What is counted where many want the same: who wins, how long everyone waits, and whether carts wait in a circle."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psycopg

from tests.benchmarks.orders import data
from tests.benchmarks.orders.workbench import OrdersBench
from tests.benchmarks.servers import BenchmarkFailed

SOLD_OUT, OVERLOADED = "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED"
WORKERS = 12
# A connection of PostgreSQL reports what it has counted once a second, at the end of a transaction.
REPORTED_AFTER_S = 1.2
REPORTING_ORDERS = 10 * WORKERS


@dataclass(frozen=True, slots=True)
class Sale:
    """How many of the buyers won one of so many units, how long the last one waited for an answer, how many were told to come again."""

    buyers: int
    units: int
    winners: int
    longest_s: float
    overloaded: int


@dataclass(frozen=True, slots=True)
class Crossed:
    """Orders of crossed carts, and how often PostgreSQL had to end one because they waited in a circle."""

    orders: int
    deadlocks: int


def sell_out(bench: OrdersBench, number: int) -> Sale:
    """Has all buyers order at once. Raises BenchmarkFailed if one is told but that they won, that nothing is left or to come again."""
    bodies = data.buyers(number)
    found = bench.call("CreateOrder", bench.orders, bodies, in_flight=len(bodies), connections=10)
    if found.errors_by_status.keys() - {SOLD_OUT, OVERLOADED}:
        raise BenchmarkFailed(f"buyers were not answered: {found.errors_by_status}")
    reserved = _reserved(bench.uri, f"SALE-{number}")
    if reserved != found.calls:
        raise BenchmarkFailed(f"{found.calls} buyers won, but {reserved} units are reserved")
    return Sale(len(bodies), data.SALE_UNITS, found.calls, found.longest_ms / 1000, found.errors_by_status.get(OVERLOADED, 0))


def cross_carts(bench: OrdersBench, seconds: float) -> Crossed:
    """Orders carts of the same few SKUs in any order. Raises BenchmarkFailed if one fails."""
    before = _deadlocks(bench.uri)
    bodies = data.carts(data.crossed, round(seconds * bench.requests_per_s))
    made = _made(bench, bodies, seconds)
    time.sleep(REPORTED_AFTER_S)
    made += _made(bench, data.carts(data.crossed, REPORTING_ORDERS), seconds)
    return Crossed(made, _deadlocks(bench.uri) - before)


def _made(bench: OrdersBench, bodies: list[bytes], seconds: float) -> int:
    found = bench.call("CreateOrder", bench.orders, bodies, in_flight=WORKERS, duration_s=seconds)
    if found.errors_by_status:
        raise BenchmarkFailed(f"crossed carts failed: {found.errors_by_status}")
    return found.calls


def _deadlocks(uri: str) -> int:
    return _number(uri, "select deadlocks from pg_stat_database where datname = current_database()")


def _reserved(uri: str, sku: str) -> int:
    return _number(uri, "select reserved from orders.stock_level where sku = %s", sku)


def _number(uri: str, query: str, *values: str) -> int:
    with psycopg.connect(uri) as connection:
        row = connection.execute(query, values).fetchone()
    return int(row[0]) if row else 0
