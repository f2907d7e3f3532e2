"""Someone who watches orders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from galen.orders.v1 import order_pb2
from galen.orders.v1 import order_service_pb2 as messages

from shared.testing.identities import Metadata

EVERYBODY = "customers/-"
PATIENCE_S = 20.0


class Watcher:
    """What one stream has told so far; `tokens` are all resume tokens, `token_after` that of each event by its name."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self.events: list[order_pb2.OrderEvent] = []
        self.tokens: list[str] = []
        self.token_after: dict[str, str] = {}
        self.heartbeats = 0

    @property
    def token(self) -> str:
        return self.tokens[-1]

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.events]

    async def hear(self, enough: Callable[[Watcher], bool], limit_s: float = PATIENCE_S) -> None:
        """Reads until `enough` is true. Raises TimeoutError, and what the call fails with."""
        async with asyncio.timeout(limit_s):
            while not enough(self):
                message = await self._call.read()
                assert isinstance(message, messages.WatchOrdersResponse), "the stream ended"
                self.tokens.append(message.resume_token)
                if message.HasField("event"):
                    self.events.append(message.event)
                    self.token_after[message.event.name] = message.resume_token
                else:
                    self.heartbeats += 1

    async def hear_events(self, count: int) -> None:
        """Reads until so many events were told."""
        await self.hear(lambda watcher: len(watcher.events) >= count)

    async def hear_heartbeats(self, count: int) -> None:
        """Reads until so many more heartbeats were heard."""
        wanted = self.heartbeats + count
        await self.hear(lambda watcher: watcher.heartbeats >= wanted)


@asynccontextmanager
async def watching(stub: Any, caller: Metadata, parent: str, token: str = "", location: str = "") -> AsyncIterator[Watcher]:
    """Watches inside the block, which begins when the stream has said from where it tells."""
    request = messages.WatchOrdersRequest(parent=parent, resume_token=token, location=location)
    call = stub.WatchOrders(request, metadata=caller)
    watcher = Watcher(call)
    try:
        await watcher.hear_heartbeats(1)
        yield watcher
    finally:
        call.cancel()
