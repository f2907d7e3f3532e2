"""What is counted of this service, as its use cases tell of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from services.orders.domain.inventory.shortage import ShortLine
from services.orders.domain.ordering.model import Order


class Observer(Protocol):
    """Told after the commit of what happened, never before; it raises nothing and waits for nothing."""

    def order_created(self, order: Order) -> None:
        """An order was made; not told of what was only judged, and not again when the answer is repeated."""

    def order_changed(self, before: Order, after: Order) -> None:
        """An order changed. If its state did, that is counted, with the time that it spent in the state before."""

    def stock_was_short(self, location_id: str, lines: Sequence[ShortLine]) -> None:
        """A reservation was refused for these lines."""

    def holds_expired(self, count: int) -> None:
        """So many reservations, of orders or of others, ran out."""
