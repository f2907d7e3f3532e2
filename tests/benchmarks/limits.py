"""What keeps the ledger's figures from their bounds, in numbers of the same run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tests.benchmarks.figures import FIGURES, Figure, Held, Results
from tests.benchmarks.measured import Measured


def what_limits(results: Results, held: Sequence[Held]) -> str:
    """Returns a list item for each figure that is missed and whose limit can be told from these results."""
    missed = {figure.figure for figure in held if not figure.holds}
    told = [_explained(figure, results) for figure in FIGURES if figure.text in missed]
    return "\n".join(f"- {text}" for text in told if text)


def _explained(figure: Figure, results: Results) -> str:
    explain = _EXPLAINED.get(figure.needs)
    if explain is None or not results.keys() >= {"echo", "empty_write"}:
        return ""
    return f"**{figure.text}**: {explain(figure, *(results[name] for name in (*figure.needs, 'echo', 'empty_write')))}"


def _behind_the_chain(_figure: Figure, withdraw: Measured, empty: Measured, *_others: Measured) -> str:
    whole, chain = withdraw.cpu_us["server"], empty.cpu_us["server"]
    return (
        f"the server takes {_us(whole)} for a withdrawal and {_us(chain)} for an empty call. The {_us(whole - chain)} between them are"
        f" nearly all that its processor has left, and PostgreSQL takes {_us(withdraw.cpu_us['postgres'])} of the same cores."
    )


def _one_process(figure: Figure, withdraw: Measured, pgbench: Measured, echo: Measured, empty: Measured) -> str:
    wanted = figure.limit * pgbench.per_s
    return (
        f"{wanted:,.0f} withdrawals/s leave {_us(1e6 / wanted)} of the one processor that the process stays on to each."
        f" {_shares(figure, withdraw, pgbench, echo, empty)} A bare handler makes {echo.per_s:,.0f} calls/s, an empty one behind the chain"
        f" {empty.per_s:,.0f}."
    )


def _shares(figure: Figure, withdraw: Measured, pgbench: Measured, echo: Measured, empty: Measured) -> str:
    """Tells what the figure's limit leaves a server process of the CPU, if the cores have nothing else to do."""
    transaction = sum(pgbench.cpu_us.values())
    in_all = transaction / figure.limit
    others = withdraw.cpu_us["postgres"] + withdraw.cpu_us["generator"]
    return (
        f"pgbench takes {_us(transaction)} of CPU for a transaction, its own included, so of the same cores the bound leaves a withdrawal"
        f" {_us(in_all)}: {_us(others)} to PostgreSQL and the generator, {_us(in_all - others)} to the server. A bare handler takes"
        f" {_us(echo.cpu_us['server'])}, an empty one behind the chain {_us(empty.cpu_us['server'])}, the withdrawal"
        f" {_us(withdraw.cpu_us['server'])}."
    )


def _hot(figure: Figure, _hot: Measured, pgbench: Measured, echo: Measured, empty: Measured) -> str:
    return (
        f"{figure.limit:g} times as many as pgbench are {figure.limit * pgbench.per_s:,.0f} withdrawals/s. A bare grpc.aio handler that"
        f" gives back the bytes it got makes {echo.per_s:,.0f} calls/s on this machine, an empty one behind the chain {empty.per_s:,.0f}."
    )


def _us(microseconds: float) -> str:
    return f"{microseconds:,.0f} µs"


_EXPLAINED: Mapping[tuple[str, ...], Callable[..., str]] = {
    ("withdraw", "empty_write"): _behind_the_chain,
    ("withdraw", "pgbench"): _one_process,
    ("withdraw_two", "pgbench"): _shares,
    ("withdraw_hot", "pgbench_hot"): _hot,
}
