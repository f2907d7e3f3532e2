"""Events in the service's own log: for stacks where nobody has an address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from services.orders.domain.notifications.notification import Notification

log = structlog.get_logger()


class LogNotifier:
    @asynccontextmanager
    async def opened(self) -> AsyncIterator[LogNotifier]:
        yield self

    async def send(self, notification: Notification) -> None:
        """Writes what anybody may know who reads logs: no addresses, no codes."""
        log.info("order event", event_id=notification.id, kind=notification.kind.name, order_state=notification.to_state.name)
