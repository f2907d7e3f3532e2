"""A customer's HTTP client, and a socket for what no HTTP client would send."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import uuid4

import aiohttp

from shared.testing.identities import Identities

REGISTER = "/api/user/register"
LOGIN = "/api/user/login"
ORDERS = "/api/user/orders"
BALANCE = "/api/user/balance"
WITHDRAW = "/api/user/balance/withdraw"
WITHDRAWALS = "/api/user/withdrawals"
JSON = {"Content-Type": "application/json"}
TEXT = {"Content-Type": "text/plain"}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read to its end, as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body, parse_float=Decimal)

    @property
    def reason(self) -> str:
        """The reason of a problem."""
        assert self.headers["Content-Type"] == "application/problem+json; charset=utf-8"
        reason: str = self.json["reason"]
        return reason


class Client:
    def __init__(self, session: aiohttp.ClientSession, port: int, identities: Identities) -> None:
        self.id = str(uuid4())
        self.headers = {"Authorization": identities.customer(self.id)[0][1]}
        self.session = session
        self.port = port

    @staticmethod
    def session_to(url: str) -> aiohttp.ClientSession:
        """Keeps no cookies, unpacks nothing, waits for nothing longer than 10 s."""
        timeout = aiohttp.ClientTimeout(total=10)
        return aiohttp.ClientSession(url, cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout, auto_decompress=False)

    async def ask(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **body: Any) -> Answer:
        sent = {"Accept-Encoding": "identity", **self.headers, **(headers or {})}
        async with self.session.request(method, path, headers=sent, **body) as response:
            return Answer(response.status, response.headers, await response.read())

    async def post(self, path: str, body: bytes | str, *, headers: Mapping[str, str] | None = None) -> Answer:
        kind = TEXT if path == ORDERS else JSON
        return await self.ask("POST", path, data=body, headers={**kind, **(headers or {})})

    async def raw(self, sent: bytes, *, within_s: float = 5) -> bytes:
        """Sends bytes; returns all that came back until the other side closed. Raises TimeoutError if it doesn't."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(sent)
            async with asyncio.timeout(within_s):
                return await reader.read()
        finally:
            writer.close()

    def raw_head(self, method: str, path: str, *lines: str) -> bytes:
        """Returns the head of a request of this customer, after whose answer the connection closes."""
        head = [f"{method} {path} HTTP/1.1", "Host: edge", f"Authorization: {self.headers['Authorization']}", "Connection: close", *lines]
        return "\r\n".join([*head, "", ""]).encode()


def status_of(answer: bytes) -> int:
    """Returns the status of an answer as it came."""
    return int(answer.split(b" ", 2)[1])
