"""What ending orders that are past their time needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias
from uuid import UUID

from services.orders.domain.ordering.model import Order, State

# Since when it waits, and its id: its place among those that wait.
Since: TypeAlias = tuple[datetime, UUID]


@dataclass(frozen=True, slots=True)
class Waiting:
    """An order that waits for somebody to look after it."""

    order_id: UUID
    state: State
    since: datetime

    @property
    def place(self) -> Since:
        return self.since, self.order_id


class WaitingOrders(Protocol):
    """Orders that time or a crash has left to be looked after; those that somebody is changing at this moment are left out."""

    async def due(self, after: Since | None, limit: int) -> Sequence[Waiting]:
        """Returns orders whose state should have been left, the longest due first, those after the place."""

    async def cancelling(self, after: Since | None, limit: int) -> Sequence[Waiting]:
        """Returns orders for whose cancellation the payment provider was asked and gave no answer, first to last."""

    async def late_s(self) -> Mapping[State, float]:
        """Returns how long ago the order that is most overdue was due, by state."""

    async def short_levels(self) -> int:
        """Returns how many stock levels have more reserved than there is."""


class TimeSteps(Protocol):
    """What time does to orders. Each step does nothing to an order for which it is not the time, or no longer."""

    async def expire(self, order_id: UUID) -> bool: ...

    async def auto_complete(self, order_id: UUID) -> bool: ...

    async def mark_overdue(self, order_id: UUID) -> bool: ...

    async def resume(self, order_id: UUID) -> Order | None: ...


class SweepObserver(Protocol):
    """Metrics."""

    def holds_expired(self, count: int) -> None: ...

    def sweep_failed(self, step: str, error: Exception) -> None: ...

    def lateness_seen(self, late_s: Mapping[State, float]) -> None: ...

    def shortfall_seen(self, levels: int) -> None: ...
