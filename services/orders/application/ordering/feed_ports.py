"""What the feed of events needs of the outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.orders.domain.ordering.model import OrderEvent


@dataclass(frozen=True, slots=True)
class FedEvent:
    """An event at its place in the feed, with what is needed of its order."""

    position: int
    customer_id: str
    location_id: str
    order_number: str
    event: OrderEvent

    @property
    def order_name(self) -> str:
        return f"customers/{self.customer_id}/orders/{self.event.order_id}"


@dataclass(frozen=True, slots=True)
class FeedScope:
    """Which events to tell: of one customer's orders, of one location's, of both or of all."""

    customer_id: str | None = None
    location_id: str | None = None

    def covers(self, fed: FedEvent) -> bool:
        return self.customer_id in (None, fed.customer_id) and self.location_id in (None, fed.location_id)


EVERYTHING = FeedScope()


@dataclass(frozen=True, slots=True)
class FeedPart:
    """Events of a scope by their positions; nothing else of it is at or before the position `reached`."""

    events: Sequence[FedEvent]
    reached: int


class Feed(Protocol):
    """All events in one order that never changes: whoever has read up to a position has missed nothing before it."""

    async def end(self) -> int:
        """Returns the last position, 0 if there is none."""

    async def read(self, scope: FeedScope, after: int) -> FeedPart:
        """Returns what follows a position, a bounded part of it.

        Raises ResumeTokenTooOld if something that followed it is no longer kept, or if there is no such position.
        """


class FeedWriter(Protocol):
    """Gives events their places in the feed, of which they have none when they are recorded."""

    async def move(self, limit: int) -> int:
        """Appends at most `limit` events to the feed, those of an order in their order; returns how many: none while another does."""

    async def prune(self, kept_days: int, limit: int) -> int:
        """Removes at most `limit` places that are older than that, the oldest first, never the last of all; returns how many."""

    async def lag_s(self) -> float:
        """Returns the age of the oldest event that has no place yet, in seconds; 0 if there is none."""


class FeedObserver(Protocol):
    """Metrics."""

    def lagged(self, lag_s: float) -> None:
        """The oldest event without a place is so old."""

    def failed(self, error: Exception) -> None:
        """The feed could not be kept; that is tried again."""
