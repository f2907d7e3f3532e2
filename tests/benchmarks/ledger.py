"""Measures the ledger and tells what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.figures import FIGURES, TITLES, Held, Results, compare
from tests.benchmarks.limits import what_limits
from tests.benchmarks.machine import describe
from tests.benchmarks.measured import Measured, rounds
from tests.benchmarks.measurements import IN_FLIGHT, PGBENCH_CLIENTS, Measurements
from tests.benchmarks.report import LEDGER, Run, Section, draw, write
from tests.benchmarks.workbench import Workbench, workbench

SHORT_HISTORY = 10_000
PAGES = ("page_short", "page_long")
CHARTED = (
    "echo",
    "empty_write",
    "withdraw",
    "withdraw_two",
    "withdraw_hot",
    "pgbench",
    "pgbench_hot",
    "orm",
    "pairs",
    "empty_read",
    "read",
)
NOT_OURS = frozenset({"echo", "empty_write", "empty_read", "pgbench", "pgbench_hot", "orm"})
INTRODUCTION = """\
Every call but those of the bare handler goes through the whole chain (interceptor, token, policy, validation, limits, metrics, a log line)
and has an account, an order number and a `request_id` of its own. Commits are durable. {in_flight} calls are in flight, and each server
stays on one processor (`PROCESSOR`), unless they are made one at a time: then the system chooses. Rates and latencies are the median of
{rounds} measurements of {seconds:g} s, made in turns. pgbench runs with prepared statements over TCP, at its best of {clients} clients,
and is free to use all processors. Meanwhile the ledger built {chains} and ran no periodic audit. After the measurements the audit looked
at {audited:,} accounts and found nothing.
"""
COLUMNS = {"server": "server", "postgres": "PostgreSQL", "generator": "generator"}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LedgerPlan:
    """What to measure: over so many accounts, and pages of a history of so many operations, of none for 0.

    `chained`: the servers build hash chains meanwhile, for CHAIN_KEY_FILE is set in their environment, which is ours.
    """

    seconds: float
    rounds: int
    accounts: int
    operations: int
    only: set[str]
    chained: bool = False


def measure_ledger(plan: LedgerPlan, command: str, folder: Path, output: Path, say: Say) -> Sequence[Held]:
    """Measures in `folder`, writes into `output`; returns the figures. Raises BenchmarkFailed."""
    say(f"making {plan.accounts:,} accounts, twice")
    with workbench(folder, plan.accounts) as bench:
        results = _results(plan, bench, say)
        say("auditing")
        audited = bench.audit()
        results |= _pages(plan, bench, say)
        run = Run(command, describe(folder), bench.postgres_settings)
    figures = compare(results)
    write(output, run, section(plan, audited, results, figures, output))
    return figures


def _results(plan: LedgerPlan, bench: Workbench, say: Say) -> dict[str, Measured]:
    measurements = Measurements(bench, plan.seconds).all()
    return rounds({name: measure for name, measure in measurements.items() if name in plan.only}, plan.rounds, TITLES, say)


def _pages(plan: LedgerPlan, bench: Workbench, say: Say) -> dict[str, Measured]:
    if not plan.operations or not plan.only & set(PAGES):
        return {}
    say(f"making a history of {plan.operations:,} operations")
    measurements = Measurements(bench, plan.seconds)
    pages = {"page_short": measurements.pages(SHORT_HISTORY), "page_long": measurements.pages(plan.operations)}
    return rounds(pages, plan.rounds, TITLES, say)


def section(plan: LedgerPlan, audited: int, results: Results, figures: Sequence[Held], output: Path) -> Section:
    """Returns the ledger's part of the page; its picture is written into `output`."""
    bars = [(TITLES[name], results[name].per_s, name not in NOT_OURS) for name in CHARTED if name in results]
    introduction = INTRODUCTION.format(
        in_flight=IN_FLIGHT,
        rounds=plan.rounds,
        seconds=plan.seconds,
        clients=", ".join(map(str, PGBENCH_CLIENTS)),
        chains="its hash chains (CHAIN_KEY_FILE was set)" if plan.chained else "no hash chains (CHAIN_KEY_FILE was not set)",
        audited=audited,
    )
    return Section(
        heading=LEDGER,
        introduction=introduction,
        note=f"The long history has {plan.operations:,} operations.",
        titles=TITLES,
        columns=COLUMNS,
        results=results,
        figures=figures,
        known=FIGURES,
        picture=draw(output, bars),
        limits=what_limits(results, figures),
    )
