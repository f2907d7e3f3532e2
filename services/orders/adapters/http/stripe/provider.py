"""The provider over HTTP: the PaymentIntents REST API.

Every write has an idempotency key that was stored before. What is not known to have failed is unknown: a timeout, a lost connection, a
5xx, 409 while the same key is being worked on, 429. The provider remembers its own 5xx under a key and repeats it for good
(docs.stripe.com/api/idempotent_requests); `Idempotent-Replayed` tells.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import aiohttp
import structlog

from services.orders.adapters.http.stripe.documents import Nonsense, event_of, intent_of, parse, refund_facts, refund_of
from services.orders.application.payments.ports import Intent, KeySpent, OutcomeUnknown, ProviderEvent, ProviderRefund, ProviderRejected
from services.orders.domain.payments.facts import FactKind
from services.orders.domain.payments.model import Payment, Refund, Wish
from shared.clock import Clock

log = structlog.get_logger()

API_VERSION = "2026-06-24.dahlia"
BODY_MAX = 4 << 20
UNEXPECTED_STATE = "payment_intent_unexpected_state"
# The provider's clock is not ours.
CLOCKS_APART = timedelta(minutes=10)
# The provider forgets keys after 24 hours (docs.stripe.com/api/idempotent_requests).
KEYS_KEPT = timedelta(hours=23)
PAGE = 100
# Of events there may be two hundred a second, and of twenty minutes they are looked through.
PAGES_MAX = 3_000
RETRY_FIRST_S, RETRY_MAX_S = 0.5, 5.0


@dataclass(frozen=True, slots=True)
class StripeLimits:
    """Seconds for connecting and for one request; how often a request is sent in all."""

    connect_s: float = 2.0
    total_s: float = 20.0
    tries: int = 2


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    document: Mapping[str, Any]
    at: datetime
    headers: Mapping[str, str]


class StripeProvider:
    """A client with connections of its own. `address` is a URL without a slash at its end."""

    def __init__(self, address: str, api_key: str, return_url: str, limits: StripeLimits, clock: Clock) -> None:
        """`return_url` is where a payer's bank sends their browser when they have done what it asked for."""
        self._address = address
        self._headers = {"Authorization": f"Bearer {api_key}", "Stripe-Version": API_VERSION, "User-Agent": "galen-orders"}
        self._return_url = return_url
        self._limits = limits
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[StripeProvider]:
        """Keeps connections for the length of the block."""
        timeout = aiohttp.ClientTimeout(total=self._limits.total_s, connect=self._limits.connect_s)
        async with aiohttp.ClientSession(
            timeout=timeout, connector=aiohttp.TCPConnector(limit=0), headers=self._headers, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            self._session = session
            yield self

    async def create_intent(self, payment: Payment) -> Intent:
        found = await self.find_intent(payment) if self._is_forgotten(payment.created_at) else None
        if found is not None:
            return found
        # Of one that was given up we only want to know: if the provider has not heard of it, no card is charged.
        is_confirmed = payment.card and payment.wish is Wish.PAY
        form = {
            "amount": str(payment.card_minor),
            "currency": payment.currency.lower(),
            "capture_method": "manual" if payment.manual_capture else "automatic",
            "payment_method_types[]": "card",
            "metadata[payment_id]": str(payment.id),
            "metadata[order_id]": str(payment.order_id),
            "metadata[order_number]": payment.order_number,
            **({"payment_method": payment.card, "confirm": "true", "return_url": self._return_url} if is_confirmed else {}),
        }
        return await self._intent("POST", "/v1/payment_intents", form, payment.key("create"))

    async def capture(self, payment: Payment) -> Intent:
        return await self._move(payment, "capture", {})

    async def cancel(self, payment: Payment) -> Intent:
        return await self._move(payment, "cancel", {"cancellation_reason": "abandoned"})

    async def get_intent(self, payment: Payment) -> Intent:
        return await self._intent("GET", f"/v1/payment_intents/{payment.intent}")

    async def find_intent(self, payment: Payment) -> Intent | None:
        oldest = ""
        async for page in self.list_events(payment.created_at - CLOCKS_APART):
            for _, event in page:
                if event.payment_id == str(payment.id) and event.intent:
                    oldest = event.intent
        return await self._intent("GET", f"/v1/payment_intents/{oldest}") if oldest else None

    async def refund(self, refund: Refund, payment: Payment) -> ProviderRefund:
        found = await self.find_refund(refund, payment) if self._is_forgotten(refund.created_at) else None
        if found is not None:
            return found
        form = {
            "payment_intent": payment.intent,
            "amount": str(refund.card_minor),
            "metadata[refund_id]": str(refund.id),
            "metadata[payment_id]": str(payment.id),
        }
        return await self._refund("POST", "/v1/refunds", form, refund.key)

    async def get_refund(self, refund: Refund) -> ProviderRefund:
        return await self._refund("GET", f"/v1/refunds/{refund.provider_reference}")

    async def find_refund(self, refund: Refund, payment: Payment) -> ProviderRefund | None:
        for document in await self._refunds(payment):
            with _reading():
                if document.get("metadata", {}).get("refund_id") == str(refund.id):
                    return refund_of(document)
        return None

    async def refunded_minor(self, payment: Payment) -> int:
        with _reading():
            facts = [fact for each in await self._refunds(payment) for fact in refund_facts(each, self._clock.now())]
            return sum(fact.amount_minor for fact in facts if fact.kind is FactKind.REFUNDED)

    def _is_forgotten(self, asked_at: datetime) -> bool:
        """Tells whether the provider may no longer know a key, so that asking again would be asking for something new."""
        return self._clock.now() - asked_at > KEYS_KEPT

    async def _refunds(self, payment: Payment) -> list[Mapping[str, Any]]:
        return [refund async for page in self._pages(f"/v1/refunds?payment_intent={payment.intent}") for refund in page]

    async def list_events(self, since: datetime) -> AsyncIterator[Sequence[tuple[bytes, ProviderEvent]]]:
        async for documents in self._pages(f"/v1/events?created[gte]={int(since.timestamp())}"):
            yield list(_readable(documents))

    async def _pages(self, path: str) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
        """Yields a whole list, as the provider orders it: what is not in it is taken for what never was."""
        after = ""
        for _ in range(PAGES_MAX):
            answer = await self._send("GET", f"{path}&limit={PAGE}{after}")
            with _reading():
                page = _items(answer.document)
            yield page
            if not page or not answer.document.get("has_more"):
                return
            after = f"&starting_after={page[-1]['id']}"
        raise OutcomeUnknown(f"the list is longer than {PAGES_MAX * PAGE}")

    async def _move(self, payment: Payment, verb: str, form: Mapping[str, str]) -> Intent:
        try:
            return await self._intent("POST", f"/v1/payment_intents/{payment.intent}/{verb}", form, payment.key(verb))
        except ProviderRejected as error:
            if error.code != UNEXPECTED_STATE:
                raise
            # It has moved on without us: its state tells how.
            return await self.get_intent(payment)

    async def _intent(self, method: str, path: str, form: Mapping[str, str] | None = None, key: str = "") -> Intent:
        answer = await self._send(method, path, form, key)
        document = answer.document
        with _reading():
            if answer.status == HTTPStatus.PAYMENT_REQUIRED:
                document = document["error"]["payment_intent"]
            return intent_of(document, answer.at)

    async def _refund(self, method: str, path: str, form: Mapping[str, str] | None = None, key: str = "") -> ProviderRefund:
        answer = await self._send(method, path, form, key)
        with _reading():
            return refund_of(answer.document)

    async def _send(self, method: str, path: str, form: Mapping[str, str] | None = None, key: str = "") -> _Answer:
        """Raises OutcomeUnknown, KeySpent, ProviderRejected; a declined card is an answer."""
        for attempt in range(1, self._limits.tries + 1):
            try:
                answer = await self._once(method, path, form, key)
            except OutcomeUnknown:
                if attempt == self._limits.tries:
                    raise
            else:
                if attempt == self._limits.tries or not _is_worth_a_retry(answer):
                    return _judged(answer)
            await asyncio.sleep(min(RETRY_MAX_S, RETRY_FIRST_S * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0))  # noqa: S311
        raise AssertionError("unreachable")

    async def _once(self, method: str, path: str, form: Mapping[str, str] | None, key: str) -> _Answer:
        assert self._session is not None, "used outside of opened()"
        headers = {"Idempotency-Key": key} if key else {}
        try:
            async with self._session.request(
                method, f"{self._address}{path}", data=form, headers=headers, allow_redirects=False
            ) as response:
                body = await _read(response)
                return _Answer(response.status, _document(body), self._time(response), response.headers)
        except TimeoutError:
            raise OutcomeUnknown(f"no answer within {self._limits.total_s:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise OutcomeUnknown(f"connection: {type(error).__name__}") from error

    def _time(self, response: aiohttp.ClientResponse) -> datetime:
        """Returns the provider's time, to the second as its events have it."""
        try:
            return parsedate_to_datetime(response.headers["Date"])
        except (KeyError, ValueError, TypeError):
            return self._clock.now().replace(microsecond=0)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > BODY_MAX:
            raise OutcomeUnknown(f"the body is longer than {BODY_MAX} bytes")
    return bytes(body)


def _document(body: bytes) -> Mapping[str, Any]:
    """Returns the answer's JSON; nothing where it is none, as when something between us answers."""
    try:
        return parse(body)
    except Nonsense:
        return {}


def _is_worth_a_retry(answer: _Answer) -> bool:
    """The provider's own word counts; else what may pass by itself (as its own library does, stripe/_http_client.py)."""
    said = answer.headers.get("Stripe-Should-Retry")
    if said in ("true", "false"):
        return said == "true"
    return answer.status == HTTPStatus.CONFLICT or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _judged(answer: _Answer) -> _Answer:
    """Returns an answer that says something; a declined card with its intent is one. Raises OutcomeUnknown, KeySpent, ProviderRejected."""
    error = answer.document.get("error")
    fault = error if isinstance(error, dict) else {}
    code, text = str(fault.get("code") or fault.get("type") or "")[:100], str(fault.get("message") or "")[:200]
    if answer.status == HTTPStatus.OK:
        return answer
    if answer.status == HTTPStatus.PAYMENT_REQUIRED and "payment_intent" in fault:
        return answer
    # A refusal because of the intent's state is remembered too, and repeated long after the state has changed.
    passing = answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or code == UNEXPECTED_STATE
    # The key was used for a request that was another, as when our settings changed since: what came of that one is to be looked up.
    is_used = answer.status == HTTPStatus.BAD_REQUEST and fault.get("type") == "idempotency_error"
    if is_used or (passing and answer.headers.get("Idempotent-Replayed") == "true"):
        raise KeySpent(f"status {answer.status} {code} is remembered under the key")
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        raise OutcomeUnknown("asked for silence", _seconds(answer.headers.get("Retry-After")))
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) or answer.status == HTTPStatus.CONFLICT or not fault:
        raise OutcomeUnknown(f"status {answer.status} {code}")
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise OutcomeUnknown(f"status {answer.status}")
    raise ProviderRejected(code, text)


def _seconds(value: str | None) -> float | None:
    return float(value) if value and value.isascii() and value.isdigit() and len(value) < 6 else None


def _items(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    items = document.get("data")
    if not isinstance(items, list) or not all(isinstance(item, dict) and isinstance(item.get("id"), str) for item in items):
        raise Nonsense("not a list of things with ids")
    return items


def _readable(documents: Iterable[Mapping[str, Any]]) -> Iterator[tuple[bytes, ProviderEvent]]:
    """Yields the events that can be read: one that can't must not hide the others."""
    for document in documents:
        try:
            yield json.dumps(document).encode(), event_of(document)
        except Nonsense as error:
            log.warning("an event of the provider can't be read", event_id=str(document.get("id"))[:100], error=str(error))


@contextmanager
def _reading() -> Iterator[None]:
    """Turns nonsense in a document into an unknown outcome."""
    try:
        yield
    except (Nonsense, KeyError, TypeError, AttributeError) as error:
        raise OutcomeUnknown(f"nonsense: {error}") from error
