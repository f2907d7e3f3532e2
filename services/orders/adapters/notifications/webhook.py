"""Events posted to a URL as signed JSON."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from services.orders.adapters.notifications.signature import HEADER, sign
from services.orders.application.notifications.ports import NotDelivered
from services.orders.domain.notifications.notification import Notification
from shared.clock import Clock


class WebhookNotifier:
    """Posts to one URL. To be used inside `opened`: a session belongs to the loop that it was made in."""

    def __init__(self, url: str, secret: bytes, clock: Clock, *, timeout_s: float) -> None:
        self._url = url
        self._secret = secret
        self._clock = clock
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[WebhookNotifier]:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self._timeout_s)) as session:
            self._session = session
            try:
                yield self
            finally:
                self._session = None

    async def send(self, notification: Notification) -> None:
        """Raises NotDelivered for every answer but a 2xx; a redirect is none, the signature is for this receiver."""
        if self._session is None:
            raise NotDelivered("the session is closed")
        body = document_of(notification)
        signature = sign(self._secret, int(self._clock.now().timestamp()), body)
        headers = {"Content-Type": "application/json", HEADER: signature}
        try:
            async with self._session.post(self._url, data=body, headers=headers, allow_redirects=False) as response:
                if not 200 <= response.status < 300:
                    raise NotDelivered(f"the receiver answered {response.status}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NotDelivered(f"the receiver can't be reached: {type(error).__name__}") from error


def document_of(notification: Notification) -> bytes:
    """Returns the event as JSON, as it is signed and sent."""
    document = {
        "id": notification.id,
        "kind": notification.kind.name,
        "order": notification.order,
        "order_number": notification.order_number,
        "from_state": notification.from_state.name if notification.from_state else None,
        "to_state": notification.to_state.name,
        "create_time": notification.created_at.isoformat(),
        "text": notification.body,
    }
    return json.dumps(document, ensure_ascii=False).encode()
