"""People who use the edge as the public test suite does: over HTTP, with the `Authorization` header sent back as it came."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import uuid4

import aiohttp

from deploy.local.accrual_sim.orders import Status
from deploy.local.accrual_sim.testing import SimulatorHandle
from shared.luhn import with_check_digit
from shared.testing.identities import Identities
from tests.gateway.serving import ServedGateway

ORDERS = "/api/user/orders"
BALANCE = "/api/user/balance"
WITHDRAW = "/api/user/balance/withdraw"
WITHDRAWALS = "/api/user/withdrawals"


def fresh_number() -> str:
    return with_check_digit(str(uuid4().int)[:15])


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's content, its numbers as they are written."""
        assert self.headers["Content-Type"].partition(";")[0] in ("application/json", "application/problem+json")
        return json.loads(self.body, parse_float=Decimal, parse_int=Decimal)


class Shopper:
    """One client; it keeps no cookies unless told."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.login = f"shopper-{uuid4()}"
        self.password = "correct horse"
        self.headers: dict[str, str] = {}

    async def ask(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **body: Any) -> Answer:
        async with self.session.request(method, path, headers={**self.headers, **(headers or {})}, **body) as response:
            return Answer(response.status, dict(response.headers), await response.read())

    async def register(self) -> Answer:
        answer = await self.ask("POST", "/api/user/register", json={"login": self.login, "password": self.password})
        self.headers["Authorization"] = answer.headers["Authorization"]
        return answer

    async def upload(self, number: str, **options: Any) -> Answer:
        headers = {"Content-Type": "text/plain", **options.pop("headers", {})}
        return await self.ask("POST", ORDERS, data=number.encode(), headers=headers, **options)

    async def withdraw(self, order: str, amount: str, **options: Any) -> Answer:
        body = f'{{"order": {json.dumps(order)}, "sum": {amount}}}'
        return await self.ask("POST", WITHDRAW, data=body, headers={"Content-Type": "application/json", **options.pop("headers", {})})

    async def balance(self) -> tuple[str, str]:
        """Returns `current` and `withdrawn` as they are written."""
        answer = await self.ask("GET", BALANCE)
        assert answer.status == 200
        return str(answer.json["current"]), str(answer.json["withdrawn"])

    async def orders(self) -> list[dict[str, Any]]:
        answer = await self.ask("GET", ORDERS)
        assert answer.status in (200, 204)
        return answer.json if answer.status == 200 else []

    async def order_reaches(self, number: str, status: str, *, within_s: float = 15) -> dict[str, Any]:
        """Asks until the order has this status; returns it."""
        deadline = time.monotonic() + within_s
        while True:
            found = [order for order in await self.orders() if order["number"] == number and order["status"] == status]
            if found:
                return found[0]
            assert time.monotonic() < deadline, f"{number} did not become {status}"
            await asyncio.sleep(0.05)


@dataclass(frozen=True, slots=True)
class Shop:
    """The whole system behind its edge."""

    gateway: ServedGateway
    simulator: SimulatorHandle
    identities: Identities

    @asynccontextmanager
    async def stranger(self, *, keeps_cookies: bool = False) -> AsyncIterator[Shopper]:
        jar = aiohttp.CookieJar(unsafe=True) if keeps_cookies else aiohttp.DummyCookieJar()
        async with aiohttp.ClientSession(self.gateway.url, cookie_jar=jar, timeout=aiohttp.ClientTimeout(total=10)) as client:
            yield Shopper(client)

    @asynccontextmanager
    async def new_shopper(self) -> AsyncIterator[Shopper]:
        async with self.stranger() as shopper:
            assert (await shopper.register()).status == 200
            yield shopper

    async def earn(self, shopper: Shopper, points: str) -> str:
        """Lets an order of the shopper earn points; returns its number once they can be spent."""
        number = fresh_number()
        await self.simulator.settle_order(number, Status.PROCESSED, Decimal(points))
        assert (await shopper.upload(number)).status == 202
        await shopper.order_reaches(number, "PROCESSED")
        return number
