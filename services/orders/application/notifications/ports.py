"""What telling of events needs."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol
from uuid import UUID

from services.orders.domain.notifications.notification import Notification
from services.orders.domain.ordering.model import Order, OrderEvent


class NotDelivered(Exception):
    """It did not arrive, or nobody knows whether it did; later it may."""


class Undeliverable(Exception):
    """It was refused, and would be again."""


class Notifier(Protocol):
    """A channel. What it is given twice has the same id both times, and it passes that on."""

    def opened(self) -> AbstractAsyncContextManager[object]:
        """Is ready to send inside the block."""

    async def send(self, notification: Notification) -> None:
        """Returns when it has arrived at whoever answers for the rest of the way. Raises NotDelivered, Undeliverable."""


class Events(Protocol):
    """What has happened to orders."""

    async def read(self, order_id: UUID, number: int) -> tuple[Order, OrderEvent] | None:
        """Returns the event and its order as it is now, without lines; None if there is no such event."""
