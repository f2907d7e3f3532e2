"""Tells of an event through a channel."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import structlog

from services.orders.application.notifications.ports import Events, Notifier, Undeliverable
from services.orders.domain.notifications.notification import Channel, notification_of
from shared.faults import Faults

log = structlog.get_logger()

# Where a test may end the process.
NOTIFIED = "notified"


class Notify:
    """May run any number of times for an event: receivers know it by its id."""

    def __init__(self, events: Events, notifiers: Mapping[Channel, Notifier], faults: Faults) -> None:
        self._events = events
        self._notifiers = notifiers
        self._faults = faults

    async def __call__(self, order_id: UUID, number: int, channel: Channel) -> None:
        """Raises NotDelivered, Undeliverable."""
        notifier = self._notifiers.get(channel)
        if notifier is None:
            raise Undeliverable(f"the channel {channel} is no longer configured")
        found = await self._events.read(order_id, number)
        if found is None:
            raise Undeliverable("there is no such event")
        notification = notification_of(*found)
        await notifier.send(notification)
        self._faults.reach(NOTIFIED)
        log.info("notified", channel=channel, event_id=notification.id)
