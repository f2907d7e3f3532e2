"""A measurement and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.http2_load import LoadResult
from tests.benchmarks.pgbench import PgbenchResult


@dataclass(frozen=True, slots=True)
class Measured:
    """How many in a second, latencies in ms (0 if unknown), and where the CPU went: microseconds for one of them, by who used it."""

    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: Mapping[str, float]


Measurement = Callable[[], Measured]


def measured_load(result: LoadResult, before: Mapping[str, float], after: Mapping[str, float], each: int = 1) -> Measured:
    """Returns what came of a load of calls that do `each` things; `before` and `after` are the seconds of CPU used, by who used them."""
    used = {user: after[user] - before[user] for user in before} | {"generator": result.cpu_s}
    done = result.calls * each
    return Measured(result.per_s * each, result.p50_ms, result.p99_ms, {user: 1e6 * cpu_s / done for user, cpu_s in used.items()})


def measured_script(result: PgbenchResult, postgres_cpu_s: float) -> Measured:
    """Returns what came of pgbench, for which PostgreSQL used so many seconds of CPU."""
    used = {"postgres": postgres_cpu_s, "generator": result.cpu_s}
    return Measured(result.per_s, result.p50_ms or 0, 0, {user: 1e6 * cpu_s / result.transactions for user, cpu_s in used.items()})


def rounds(
    measurements: Mapping[str, Measurement], count: int, titles: Mapping[str, str], say: Callable[[str], None]
) -> dict[str, Measured]:
    """Makes all measurements in turns, so that a machine which gets slower gets slower for all of them; returns the median of each."""
    found: dict[str, list[Measured]] = {name: [] for name in measurements}
    for number in range(1, count + 1):
        for name, measure in measurements.items():
            found[name].append(measure())
            last = found[name][-1]
            say(f"{number}/{count} {titles[name]}: {last.per_s:,.0f}/s, p50 {last.p50_ms:.2f} ms")
    return {name: median(measured) for name, measured in found.items()}


def median(found: Sequence[Measured]) -> Measured:
    """Returns the one in the middle, by how many in a second."""
    return sorted(found, key=lambda measured: measured.per_s)[len(found) // 2]
