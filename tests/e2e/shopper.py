"""A customer whose app repeats what got no answer: an outage may make the way longer, never wrong."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from decimal import Decimal
from enum import IntEnum
from typing import Any
from uuid import uuid4

import aiohttp
import jwt

from shared.luhn import with_check_digit

# What the edge says while something behind it is away or has too much to do. All else, 500 first of all, is a fault.
NOT_NOW = (429, 503, 504)
# An accrual system may fail in this way too.
NOT_NOW_OUTSIDE = (500, *NOT_NOW)
RETRY_S = 0.1
GIVE_UP_S = 45.0
GOODS = "Kettle"
REWARD_PERCENT = 10


class Phase(IntEnum):
    """How far a customer has come."""

    COMING = 0
    REGISTERING = 1
    UPLOADING = 2
    WAITING = 3
    SPENDING = 4
    DONE = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    authorization: str
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body, parse_float=Decimal)


def fresh_number() -> str:
    return with_check_digit(str(uuid4().int)[:15])


@dataclass(slots=True)
class Shopper:
    """One customer's way: two purchases, their points, and some of these spent. Amounts are points."""

    session: aiohttp.ClientSession
    edge: str
    accrual_system: str
    login: str = field(default_factory=lambda: f"shopper-{uuid4()}")
    password: str = field(default_factory=lambda: f"canary-{uuid4()}")
    phase: Phase = Phase.COMING
    token: str = ""
    outages: int = 0
    earned: dict[str, Decimal] = field(default_factory=dict)
    spent: dict[str, Decimal] = field(default_factory=dict)

    @property
    def customer(self) -> str:
        # Whoever bears a token may look into it.
        return str(jwt.decode(self.token, options={"verify_signature": False})["sub"])

    async def walk(self, *, after_s: float = 0.0) -> None:
        """Goes the whole way. Raises AssertionError when something is not as it should be."""
        await asyncio.sleep(after_s)
        self.phase = Phase.REGISTERING
        await self._register()
        self.phase = Phase.UPLOADING
        for price in (Decimal("1234.5"), Decimal("77.7")):
            await self._buy(price)
        self.phase = Phase.WAITING
        await self._wait_for_points()
        self.phase = Phase.SPENDING
        await self._spend(Decimal("31.05"))
        self.phase = Phase.DONE

    async def _register(self) -> None:
        credentials = {"login": self.login, "password": self.password}
        answer = await self._write("/api/user/register", (200,), json=credentials)
        self.token = answer.authorization.removeprefix("Bearer ")

    async def _buy(self, price: Decimal) -> None:
        number = fresh_number()
        body = f'{{"order": "{number}", "goods": [{{"description": "{GOODS}", "price": {price}}}]}}'
        url, headers = f"{self.accrual_system}/api/orders", {"Content-Type": "application/json"}
        await self.ask("POST", url, (202, 409), not_now=NOT_NOW_OUTSIDE, data=body, headers=headers)
        await self._write("/api/user/orders", (202, 200), data=number, headers={"Content-Type": "text/plain"})
        self.earned[number] = price * REWARD_PERCENT / 100

    async def _wait_for_points(self) -> None:
        deadline = time.monotonic() + GIVE_UP_S
        while True:
            orders = (await self._read("/api/user/orders")).json
            assert {order["number"] for order in orders} == set(self.earned)
            if all(order["status"] == "PROCESSED" for order in orders):
                break
            assert time.monotonic() < deadline, f"the points of {self.login} did not arrive: {orders}"
            await asyncio.sleep(RETRY_S)
        assert {order["number"]: order["accrual"] for order in orders} == self.earned
        await self._expect_balance()

    async def _spend(self, amount: Decimal) -> None:
        number = fresh_number()
        body = f'{{"order": "{number}", "sum": {amount}}}'
        await self._write("/api/user/balance/withdraw", (200,), data=body, headers={"Content-Type": "application/json"})
        self.spent[number] = amount
        await self._expect_balance()

    async def _expect_balance(self) -> None:
        """Whoever has seen PROCESSED sees the points, and nothing counts twice."""
        spent = sum(self.spent.values())
        balance = (await self._read("/api/user/balance")).json
        assert balance == {"current": sum(self.earned.values()) - spent, "withdrawn": spent}

    async def _read(self, path: str) -> Answer:
        return await self.ask("GET", self.edge + path, (200,), headers=self._credentials)

    async def _write(self, path: str, expected: tuple[int, ...], **request: Any) -> Answer:
        headers = {**request.pop("headers", {}), **self._credentials, "Idempotency-Key": str(uuid4())}
        return await self.ask("POST", self.edge + path, expected, headers=headers, **request)

    @property
    def _credentials(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    async def ask(self, method: str, url: str, expected: tuple[int, ...], *, not_now: tuple[int, ...] = NOT_NOW, **request: Any) -> Answer:
        """Asks until there is an answer other than `not_now`."""
        deadline = time.monotonic() + GIVE_UP_S
        while time.monotonic() < deadline:
            answer = await self._attempt(method, url, **request)
            if answer is not None and answer.status not in not_now:
                assert answer.status in expected, f"{method} {url} gave {answer}"
                return answer
            self.outages += 1
            await asyncio.sleep(RETRY_S)
        raise AssertionError(f"{method} {url} was never answered")

    async def _attempt(self, method: str, url: str, **request: Any) -> Answer | None:
        try:
            async with self.session.request(method, url, **request) as response:
                return Answer(response.status, response.headers.get("Authorization", ""), await response.text())
        except (aiohttp.ClientError, TimeoutError):
            return None


async def teach_rewards(session: aiohttp.ClientSession, accrual_system: str) -> None:
    """Tells the accrual system what the goods of all shoppers earn."""
    body = f'{{"match": "{GOODS}", "reward": {REWARD_PERCENT}, "reward_type": "%"}}'
    async with session.post(f"{accrual_system}/api/goods", data=body, headers={"Content-Type": "application/json"}) as response:
        assert response.status in (200, 409), await response.text()
