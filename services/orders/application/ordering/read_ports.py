"""What reading orders needs of the outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias
from uuid import UUID

from services.orders.domain.ordering.filter import Term
from services.orders.domain.ordering.model import Order, OrderEvent, State

# An order's place in all lists: when it was made, and its id.
Place: TypeAlias = tuple[datetime, UUID]


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders to list: a customer's, or everybody's if `customer_id` is None; those older than the place `after`."""

    customer_id: str | None
    terms: tuple[Term, ...]
    after: Place | None
    limit: int


@dataclass(frozen=True, slots=True)
class OrderSearch:
    """Which orders to find: those that have, for each word, one that begins with it."""

    words: Sequence[str]
    after: Place | None
    limit: int


@dataclass(frozen=True, slots=True)
class OrderPage:
    """A page of orders, newest first, without their lots. It may be short: others follow the place `following`, if there is one."""

    orders: Sequence[Order]
    following: Place | None


class OrderPages(Protocol):
    """Orders, newest first. However many there are, a bounded number is looked at for a page."""

    async def list(self, wanted: OrderFilter) -> OrderPage:
        """Returns the next orders that pass the filter."""

    async def search(self, wanted: OrderSearch) -> OrderPage:
        """Returns the next orders that are found by the words."""


@dataclass(frozen=True, slots=True)
class EventPage:
    """A page of an order's events, by number; others follow the number `following`, if there is one."""

    order_number: str
    events: Sequence[OrderEvent]
    following: int | None


class OrderHistory(Protocol):
    """What happened to an order."""

    async def events(self, customer_id: str, order_id: UUID, *, after: int, limit: int) -> EventPage | None:
        """Returns the events with a higher number than `after`; None if the customer has no such order."""


@dataclass(frozen=True, slots=True)
class QueueCount:
    """The orders of a location in one state: all, those that nobody has claimed, those past their due time, and when the first is due."""

    state: State
    orders: int
    unclaimed: int
    overdue: int
    oldest_due_at: datetime | None


class OrderQueue(Protocol):
    """The orders that wait for staff."""

    async def count(self, location_id: str) -> Sequence[QueueCount] | None:
        """Returns a count for each state that staff work on, in the order in which they do; None if there is no such location."""
