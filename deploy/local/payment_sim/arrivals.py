"""The log of requests as they arrived, for tests that count them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime

from deploy.local.payment_sim.faults import FaultKind, Operation


@dataclass(slots=True)
class Arrival:
    """One request of the API; `status` is None while it is being answered, 0 if the connection was dropped instead.

    `subject` is the intent or refund that the path names, `key` the idempotency key.
    """

    operation: Operation
    subject: str
    key: str
    arrived_at: datetime
    monotonic_s: float
    """The machine's monotonic clock, in seconds: comparable with time.monotonic() of other processes on Linux."""
    due_s: float
    """When it is to be answered, by the same clock."""
    status: int | None = None
    fault: FaultKind | None = None
    replayed: bool = False


class ArrivalLog:
    """Remembers the newest `kept_max` arrivals, oldest first, and counts all."""

    def __init__(self, *, kept_max: int = 50_000) -> None:
        self._arrivals: deque[Arrival] = deque(maxlen=kept_max)
        self.total = 0

    def add(self, arrival: Arrival) -> None:
        self._arrivals.append(arrival)
        self.total += 1

    def of(self, *, operation: Operation | None = None, key: str | None = None, subject: str | None = None) -> list[Arrival]:
        """Returns the arrivals with that operation, key and subject; all where None is given."""
        return [
            arrival
            for arrival in self._arrivals
            if operation in (None, arrival.operation) and key in (None, arrival.key) and subject in (None, arrival.subject)
        ]

    def clear(self) -> None:
        self._arrivals.clear()
        self.total = 0
