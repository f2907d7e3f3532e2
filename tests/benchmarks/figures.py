"""Figures, each computed from measurements and compared with its bound; those that the ledger is held to."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.measured import Measured

Results = Mapping[str, Measured]
AT_LEAST, AT_MOST, EXACTLY = ">=", "<=", "="
COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {AT_LEAST: operator.ge, AT_MOST: operator.le, EXACTLY: operator.eq}

TITLES = {
    "echo": "bare grpc.aio handler that gives back the bytes it got",
    "empty_write": "WithdrawPoints, empty handler",
    "withdraw": "WithdrawPoints, spread over all accounts",
    "pgbench": "pgbench, the same statements one by one, spread",
    "withdraw_two": "WithdrawPoints, two processes, spread",
    "orm": "WithdrawPoints, SQLAlchemy ORM baseline, spread",
    "withdraw_hot": "WithdrawPoints, one hot account",
    "pgbench_hot": "pgbench, one hot account",
    "pairs": "ReservePoints + CapturePoints, pairs",
    "batch": "BatchApply of 100 withdrawals, operations",
    "empty_read": "GetAccount, empty handler",
    "read": "GetAccount",
    "one_empty": "one at a time: WithdrawPoints, empty handler",
    "one_withdraw": "one at a time: WithdrawPoints",
    "one_statement": "one at a time: one prepared statement that commits (pgbench)",
    "page_short": "one at a time: ListOperations, 50 of 10 thousand",
    "page_long": "one at a time: ListOperations, 50 of the long history",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure: what it says, its bound, and how it follows from the measurements that it needs."""

    text: str
    comparison: str
    limit: float
    needs: tuple[str, ...]
    compute: Callable[..., float]


@dataclass(frozen=True, slots=True)
class Held:
    """A figure's value, and whether it holds."""

    figure: str
    value: float
    bound: str
    holds: bool


def rates(one: Measured, other: Measured) -> float:
    return one.per_s / other.per_s


def _one_call(ledger: Measured, empty: Measured, statement: Measured) -> float:
    return ledger.p50_ms / (empty.p50_ms + statement.p50_ms)


def _latencies(one: Measured, other: Measured) -> float:
    return one.p50_ms / other.p50_ms


FIGURES = (
    Figure("WithdrawPoints/s, one process, to an empty handler behind the same chain", AT_LEAST, 0.65, ("withdraw", "empty_write"), rates),
    Figure("WithdrawPoints/s, one process, to pgbench sending the same statements", AT_LEAST, 0.85, ("withdraw", "pgbench"), rates),
    Figure("WithdrawPoints/s, two processes, to pgbench sending the same statements", AT_LEAST, 1.1, ("withdraw_two", "pgbench"), rates),
    Figure("WithdrawPoints/s, one process, to a servicer of ORM sessions", AT_LEAST, 7, ("withdraw", "orm"), rates),
    Figure("WithdrawPoints/s on one hot account, to spread over all accounts", AT_LEAST, 1.0, ("withdraw_hot", "withdraw"), rates),
    Figure("WithdrawPoints/s on one hot account, to pgbench on one hot account", AT_LEAST, 8, ("withdraw_hot", "pgbench_hot"), rates),
    Figure("ReservePoints + CapturePoints pairs/s, to WithdrawPoints/s", AT_LEAST, 0.4, ("pairs", "withdraw"), rates),
    Figure(
        "WithdrawPoints one at a time: p50, to p50 of an empty handler + p50 of one prepared statement",
        AT_MOST,
        3.0,
        ("one_withdraw", "one_empty", "one_statement"),
        _one_call,
    ),
    Figure("GetAccount/s, to an empty handler behind the same chain", AT_LEAST, 0.5, ("read", "empty_read"), rates),
    Figure(
        "ListOperations page of the long history, to one of 10 thousand operations: p50",
        AT_MOST,
        1.3,
        ("page_long", "page_short"),
        _latencies,
    ),
)  # fmt: skip


def compare(results: Mapping[str, Any], figures: Sequence[Figure] = FIGURES) -> list[Held]:
    """Returns the figures whose measurements were made."""
    return [_held(figure, results) for figure in figures if all(name in results for name in figure.needs)]


def _held(figure: Figure, results: Mapping[str, Any]) -> Held:
    value = figure.compute(*(results[name] for name in figure.needs))
    holds = COMPARISONS[figure.comparison](value, figure.limit)
    return Held(figure.text, round(value, 3), f"{figure.comparison} {figure.limit:g}", holds)


def told_figure(figure: Held) -> str:
    """Returns the figure as a line."""
    return f"{'holds  ' if figure.holds else 'FAILS  '} {figure.value:8.2f} {figure.bound:8} {figure.figure}"
