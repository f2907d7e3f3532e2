"""The job that tells of an event through a channel."""

from __future__ import annotations

from uuid import UUID

from services.orders.application.notifications.notify import Notify
from services.orders.application.notifications.ports import Undeliverable
from services.orders.domain.notifications.notification import Channel
from shared.jobs.queue import ParkJob


class NotificationJobs:
    def __init__(self, notify: Notify) -> None:
        self._notify = notify

    async def notify(self, order_id: str, number: int, channel: str) -> None:
        """Raises ParkJob where no repetition helps, and NotDelivered where one may."""
        try:
            await self._notify(UUID(order_id), number, Channel(channel))
        except Undeliverable as error:
            raise ParkJob(str(error)) from error
