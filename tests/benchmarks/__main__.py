"""python -m tests.benchmarks [ledger | orders | payments]: measures, and writes docs/benchmarks.{md,json,svg}."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

from tests.benchmarks import figures as ledger_figures
from tests.benchmarks.figures import Held, told_figure
from tests.benchmarks.ledger import LedgerPlan, measure_ledger
from tests.benchmarks.orders import figures as order_figures
from tests.benchmarks.orders.run import OrdersPlan, measure_orders
from tests.benchmarks.payments import figures as payment_figures
from tests.benchmarks.payments.run import PaymentsPlan, measure_payments
from tests.benchmarks.servers import BenchmarkFailed

ALL, LEDGER, ORDERS, PAYMENTS = "all", "ledger", "orders", "payments"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description="Measures and writes what it found.")
    names = ", ".join([*ledger_figures.TITLES, *order_figures.TITLES, *payment_figures.TITLES])
    parser.add_argument("part", nargs="?", choices=(ALL, LEDGER, ORDERS, PAYMENTS), default=ALL, help="what is measured")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each measurement takes")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is made; the median is told")
    parser.add_argument("--accounts", type=int, default=100_000, help="accounts that calls to the ledger are spread over")
    parser.add_argument("--operations", type=int, default=10_000_000, help="operations of the long history; 0: no pages are measured")
    parser.add_argument("--orders", type=int, default=1_000_000, help="orders among which pages are read; 0: no pages are measured")
    parser.add_argument("--only", default="", help=f"names of measurements, by comma: {names}")
    parser.add_argument("--output", type=Path, default=Path("docs"), help="the folder to write to")
    return parser.parse_args()


def main() -> int:
    asked = arguments()
    command = shlex.join(["python", "-m", "tests.benchmarks", *sys.argv[1:]])
    if asked.part == ALL:  # figures of other names than today's go
        (asked.output / "benchmarks.json").unlink(missing_ok=True)
    figures: list[Held] = []
    with tempfile.TemporaryDirectory(prefix="galen-benchmarks-") as folder:
        for part, measure in ((LEDGER, _ledger), (ORDERS, _orders), (PAYMENTS, _payments)):
            if asked.part in (part, ALL):
                own = Path(folder, part)
                own.mkdir()
                figures += measure(asked, command, own)
    for figure in figures:
        say(told_figure(figure))
    return 0


def _ledger(asked: argparse.Namespace, command: str, folder: Path) -> Sequence[Held]:
    only = _only(asked, ledger_figures.TITLES)
    plan = LedgerPlan(asked.seconds, asked.rounds, asked.accounts, asked.operations, only, chained="CHAIN_KEY_FILE" in os.environ)
    return measure_ledger(plan, command, folder, asked.output, say) if only else ()


def _orders(asked: argparse.Namespace, command: str, folder: Path) -> Sequence[Held]:
    only = _only(asked, order_figures.TITLES)
    plan = OrdersPlan(asked.seconds, asked.rounds, asked.orders, only)
    return measure_orders(plan, command, folder, asked.output, say) if only else ()


def _payments(asked: argparse.Namespace, command: str, folder: Path) -> Sequence[Held]:
    only = _only(asked, payment_figures.TITLES)
    # A p99 of 20 calls a second takes longer.
    return measure_payments(PaymentsPlan(2 * asked.seconds, asked.rounds, only), command, folder, asked.output, say) if only else ()


def _only(asked: argparse.Namespace, known: Collection[str]) -> set[str]:
    """Returns the measurements among these that are asked for."""
    return set(filter(None, asked.only.split(","))) & set(known) if asked.only else set(known)


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkFailed as failure:
        sys.exit(f"benchmark failed: {failure}")
