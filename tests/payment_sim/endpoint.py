"""A webhook endpoint that checks signatures as the provider's documentation says, without the code of either side."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from deploy.local.payment_sim.testing import WEBHOOK_SECRET


@dataclass(frozen=True)
class Received:
    event: dict[str, Any]
    header: str
    status: int
    monotonic_s: float

    @property
    def type(self) -> str:
        return str(self.event["type"])


@dataclass
class Endpoint:
    """Answers 400 to what is not signed, and with the next of `answers` to what is, 200 when there are no more."""

    url: str = ""
    received: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    async def receive(self, request: web.Request) -> web.Response:
        body, header = await request.read(), request.headers["Stripe-Signature"]
        status = (self.answers.pop(0) if self.answers else 200) if is_signed(body, header) else 400
        self.received.append(Received(json.loads(body), header, status, time.monotonic()))
        return web.Response(status=status)

    def types(self, *, status: int = 200) -> list[str]:
        return [each.type for each in self.received if each.status == status]


def is_signed(body: bytes, header: str, secret: str = WEBHOOK_SECRET) -> bool:
    parts = [part.split("=", 1) for part in header.split(",")]
    stamp = next(value for name, value in parts if name == "t")
    wanted = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return any(value == wanted for name, value in parts if name == "v1") and abs(time.time() - int(stamp)) < 300


@asynccontextmanager
async def listening_endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    app = web.Application()
    app.router.add_post("/hooks", endpoint.receive)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        endpoint.url = f"http://127.0.0.1:{site.port}/hooks"
        yield endpoint
    finally:
        await runner.cleanup()
