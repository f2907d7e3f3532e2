"""The figure that payments are held to."""

from __future__ import annotations

from tests.benchmarks.figures import AT_MOST, Figure
from tests.benchmarks.measured import Measured

PER_S = 20
PROVIDER_MS = 50
# HTTP and timers take the rest.
PROVIDER_WAITS_MS = 48.5
TITLES = {
    "provider": "the provider alone: an intent, one at a time",
    "start_empty": "WithdrawPoints, empty handler",
    "start": "StartPayment, the payer confirms at the provider",
    "start_charged": "StartPayment with a card: charged, stock sold, order PAID",
    "start_together": "StartPayment, jobs in the same process",
}
# What is measured of a server that works off its jobs itself; of the rest a worker does.
TOGETHER = {"start_together"}


def _to_allowance(start: Measured, empty: Measured) -> float:
    return start.p99_ms / (PROVIDER_MS + 4 * empty.p99_ms)


def _figure(call: str, name: str) -> Figure:
    text = f"{call} at {PER_S}/s: p99, to {PROVIDER_MS} ms of the provider + 4 times the p99 of an empty call"
    return Figure(text, AT_MOST, 1.0, (name, "start_empty"), _to_allowance)


FIGURES = (
    _figure("StartPayment", "start"),
    _figure("StartPayment, jobs in the same process,", "start_together"),
    _figure("StartPayment with a card, to PAID,", "start_charged"),
)
