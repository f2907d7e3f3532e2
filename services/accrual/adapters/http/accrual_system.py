"""The provider over HTTP: `GET /api/orders/{number}` and `POST /api/orders`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp

from services.accrual.adapters.http.answers import nonsense, read_answer
from services.accrual.adapters.http.retry_after import silence_s
from services.accrual.application.ports import Good, ProviderFailed, ProviderRefused, ProviderThrottled
from services.accrual.domain.claims import NOT_REGISTERED, Answer
from shared.clock import Clock
from shared.money import decimal_text

HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "galen-accrual"}


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Seconds for connecting and for all of a request, bytes of an answer. How many go at once is limited by the gates before it."""

    connect_s: float
    total_s: float
    body_max: int


@dataclass(frozen=True, slots=True)
class _Response:
    status: int
    content_type: str | None
    body: bytes


# Answers that are about the one request; whatever else it says with 4xx, such as 401, it would say to the next one too.
REFUSALS = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.CONFLICT,
        HTTPStatus.GONE,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.REQUEST_URI_TOO_LONG,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)


class HttpAccrualSystem:
    """A client with connections of its own. `address` is a URL without a slash at its end."""

    def __init__(self, address: str, limits: HttpLimits, clock: Clock) -> None:
        self._address = address
        self._limits = limits
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[HttpAccrualSystem]:
        """Keeps connections for the length of the block."""
        timeout = aiohttp.ClientTimeout(total=self._limits.total_s, connect=self._limits.connect_s)
        connector = aiohttp.TCPConnector(limit=0)
        # What it sends is never unpacked, followed to another place, or remembered as a cookie.
        async with aiohttp.ClientSession(
            timeout=timeout, connector=connector, headers=HEADERS, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
        ) as session:
            self._session = session
            yield self

    async def ask(self, number: str) -> Answer:
        response = await self._send("GET", f"/api/orders/{number}")
        if response.status == HTTPStatus.NO_CONTENT:
            return NOT_REGISTERED
        if response.status != HTTPStatus.OK:
            raise _unexpected(response)
        return read_answer(number, response.content_type, response.body)

    async def register(self, number: str, goods: Sequence[Good]) -> int:
        response = await self._send("POST", "/api/orders", purchase_document(number, goods))
        if response.status != HTTPStatus.ACCEPTED and response.status not in REFUSALS:
            raise _unexpected(response)
        return response.status

    async def _send(self, method: str, path: str, body: str | None = None) -> _Response:
        assert self._session is not None, "used outside of opened()"
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            async with self._session.request(
                method, f"{self._address}{path}", data=body, headers=headers, allow_redirects=False
            ) as response:
                if response.status == HTTPStatus.TOO_MANY_REQUESTS:
                    raise ProviderThrottled(self._silence_s(response))
                return _Response(response.status, response.headers.get("Content-Type"), await self._read(response))
        except TimeoutError:
            raise ProviderFailed("timeout", f"no answer within {self._limits.total_s:g} s") from None
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            raise ProviderFailed("connection", type(error).__name__) from error

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """Returns the body, if it is not too long and not packed."""
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise nonsense("the body is packed, which nobody asked for")
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._limits.body_max:
                raise nonsense(f"the body is longer than {self._limits.body_max} bytes")
        return bytes(body)

    def _silence_s(self, response: aiohttp.ClientResponse) -> float:
        return silence_s(response.headers.get("Retry-After"), response.headers.get("Date"), self._clock.now())


def _unexpected(response: _Response) -> ProviderFailed:
    if response.status in REFUSALS:
        return ProviderRefused(response.status)
    kind = "server_error" if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR else "nonsense"
    return ProviderFailed(kind, f"status {response.status}")


def purchase_document(number: str, goods: Sequence[Good]) -> str:
    """Returns the JSON of a purchase; prices are exact decimals, which the json module could only write as floats."""
    lines = ",".join(
        f'{{"description":{json.dumps(good.description, ensure_ascii=False)},"price":{decimal_text(good.price_minor)}}}' for good in goods
    )
    return f'{{"order":"{number}","goods":[{lines}]}}'
