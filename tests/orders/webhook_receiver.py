"""A receiver of webhooks: it answers as it is told to, and keeps what came, with its signature."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request as it came."""

    body: bytes
    signature: str
    answered: int

    @property
    def id(self) -> str:
        document: dict[str, Any] = json.loads(self.body)
        return str(document["id"])


@dataclass(slots=True)
class Receiver:
    """`answers` are given in turn, then 204; `delay_s` comes before each."""

    url: str = ""
    deliveries: list[Delivery] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    delay_s: float = 0.0

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        await asyncio.sleep(self.delay_s)
        status = self.answers.pop(0) if self.answers else 204
        self.deliveries.append(Delivery(body, request.headers["Galen-Signature"], status))
        headers = {"Location": self.url.replace("/hook", "/elsewhere")} if status in (301, 302, 307, 308) else {}
        return web.Response(status=status, headers=headers)


@asynccontextmanager
async def webhook_receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{tail:.*}", receiver.receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()
