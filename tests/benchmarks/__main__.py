"""python -m tests.benchmarks: measures the ledger, and writes docs/benchmarks.{md,json,svg}."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.figures import TITLES, Held, compare
from tests.benchmarks.machine import describe
from tests.benchmarks.measurements import IN_FLIGHT, PGBENCH_CLIENTS, Measured, Measurement, Measurements, median
from tests.benchmarks.report import Run, write
from tests.benchmarks.workbench import BenchmarkFailed, Workbench, workbench

SHORT_HISTORY = 10_000


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Measures the ledger and writes what it found.")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each measurement takes")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is made; the median is told")
    parser.add_argument("--accounts", type=int, default=100_000, help="accounts that calls are spread over")
    parser.add_argument("--operations", type=int, default=10_000_000, help="operations of the long history; 0: no pages are measured")
    parser.add_argument("--only", default="", help=f"names of measurements, by comma: {', '.join(TITLES)}")
    parser.add_argument("--output", type=Path, default=Path("docs"), help="the folder to write to")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    only = set(filter(None, asked.only.split(","))) or set(TITLES)
    with tempfile.TemporaryDirectory(prefix="galen-benchmarks-") as folder:
        say(f"making {asked.accounts:,} accounts, twice")
        with workbench(Path(folder), asked.accounts) as bench:
            measurements = Measurements(bench, asked.seconds)
            results = rounds({name: measure for name, measure in measurements.all().items() if name in only}, asked.rounds)
            say("auditing")
            audited = bench.audit()
            if asked.operations and only & {"page_short", "page_long"}:
                results |= rounds(pages(measurements, asked.operations), asked.rounds)
            run = told(asked, bench, audited, Path(folder))
    figures = compare(results)
    write(asked.output, run, results, figures)
    for figure in figures:
        say(told_figure(figure))
    return 0


def rounds(measurements: Mapping[str, Measurement], count: int) -> dict[str, Measured]:
    """Makes all measurements in turns, so that a machine which gets slower gets slower for all of them."""
    found: dict[str, list[Measured]] = {name: [] for name in measurements}
    for number in range(1, count + 1):
        for name, measure in measurements.items():
            found[name].append(measure())
            last = found[name][-1]
            say(f"{number}/{count} {TITLES[name]}: {last.per_s:,.0f}/s, p50 {last.p50_ms:.2f} ms")
    return {name: median(measured) for name, measured in found.items()}


def pages(measurements: Measurements, operations: int) -> dict[str, Measurement]:
    say(f"making a history of {operations:,} operations")
    return {"page_short": measurements.pages(SHORT_HISTORY), "page_long": measurements.pages(operations)}


def told(asked: argparse.Namespace, bench: Workbench, audited: int, folder: Path) -> Run:
    return Run(
        command=shlex.join(["python", "-m", "tests.benchmarks", *sys.argv[1:]]),
        machine=describe(folder),
        postgres=bench.postgres_settings,
        in_flight=IN_FLIGHT,
        clients=PGBENCH_CLIENTS,
        rounds=asked.rounds,
        seconds=asked.seconds,
        operations=asked.operations,
        audited=audited,
    )


def told_figure(figure: Held) -> str:
    return f"{'holds  ' if figure.holds else 'FAILS  '} {figure.value:8.2f} {figure.bound:8} {figure.figure}"


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkFailed as failure:
        sys.exit(f"benchmark failed: {failure}")
