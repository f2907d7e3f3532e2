"""Writes what was measured: docs/benchmarks.md for people, .json for programs, .svg for the eye."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.chart import bar_chart
from tests.benchmarks.figures import TITLES, Held, Results

CHARTED = ("empty_write", "withdraw", "withdraw_two", "withdraw_hot", "pgbench", "pgbench_hot", "orm", "pairs", "empty_read", "read")
NOT_OURS = frozenset({"empty_write", "empty_read", "pgbench", "pgbench_hot", "orm"})
INTRODUCTION = """\
Written by `{command}` on {day}, in one run, on one machine.

Every call goes through the whole chain (interceptor, token, policy, validation, limits, metrics, a log line) and has an account, an order
number and a `request_id` of its own. Commits are durable. {in_flight} calls are in flight unless they are made one at a time; rates and
latencies are the median of {rounds} measurements of {seconds:g} s, made in turns. pgbench runs with prepared statements over TCP, at its
best of {clients} clients. After the measurements the audit looked at {audited:,} accounts and found nothing.
"""
SPLIT = """\
The last columns say where the CPU went: microseconds for one call (operation, pair, transaction), by who used it. The long history has
{operations:,} operations.
"""


@dataclass(frozen=True, slots=True)
class Run:
    """How it was measured."""

    command: str
    machine: Mapping[str, str]
    postgres: Mapping[str, str]
    in_flight: int
    clients: Sequence[int]
    rounds: int
    seconds: float
    operations: int
    audited: int


def write(folder: Path, run: Run, results: Results, figures: Sequence[Held]) -> None:
    """Writes benchmarks.md, benchmarks.json (a list of {figure, value, bound, holds}) and benchmarks.svg into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmarks.json").write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")
    charted = [(TITLES[name], results[name].per_s, name not in NOT_OURS) for name in CHARTED if name in results]
    if charted:
        (folder / "benchmarks.svg").write_text(bar_chart("Calls per second", charted))
    page = folder / "benchmarks.md"
    page.write_text(_kept(page) + _page(run, results, figures, chart=bool(charted)))


def _page(run: Run, results: Results, figures: Sequence[Held], *, chart: bool) -> str:
    clients = ", ".join(map(str, run.clients))
    introduction = INTRODUCTION.format(
        command=run.command, day=f"{datetime.now(UTC):%Y-%m-%d}", in_flight=run.in_flight, rounds=run.rounds, seconds=run.seconds,
        clients=clients, audited=run.audited,
    )  # fmt: skip
    held = [(figure.figure, f"{figure.value:.2f}", figure.bound, "yes" if figure.holds else "**no**") for figure in figures]
    parts = [
        "# Benchmarks\n",
        introduction,
        table(("figure", "value", "bound", "holds"), held),
        "![Calls per second](benchmarks.svg)\n" if chart else "",
        "## Measurements\n",
        SPLIT.format(operations=run.operations),
        table(("what", "per second", "p50 ms", "p99 ms", "server", "PostgreSQL", "generator"), _rows(results)),
        "## Machine\n",
        table(("", ""), [*run.machine.items(), ("postgres", ", ".join(f"{name} {value}" for name, value in run.postgres.items()))]),
    ]
    return "\n".join(part for part in parts if part)


def _rows(results: Results) -> Iterable[Sequence[str]]:
    for name, measured in results.items():
        cpu_us = [f"{measured.cpu_us[user]:,.0f}" if user in measured.cpu_us else "" for user in ("server", "postgres", "generator")]
        latencies = [f"{value:.2f}" if value else "" for value in (measured.p50_ms, measured.p99_ms)]
        yield TITLES[name], f"{measured.per_s:,.0f}", *latencies, *cpu_us


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


LEDGER = "\n## The ledger\n\n"


def _kept(page: Path) -> str:
    """Returns what stands on the page before the ledger's figures: others measure that."""
    before, found, _ = page.read_text().partition(LEDGER) if page.exists() else ("", "", "")
    return before + LEDGER if found else ""
