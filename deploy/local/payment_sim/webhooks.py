"""Sends events to the endpoint until it answers 2xx, as the provider does: concurrently, in no order that could be relied on."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

import aiohttp

from deploy.local.payment_sim import signatures
from deploy.local.payment_sim.books import new_id
from deploy.local.payment_sim.documents import event_document
from deploy.local.payment_sim.faults import Fault, FaultKind
from deploy.local.payment_sim.models import Delivery, Event

SOMEBODY_ELSES = "whsec_somebody_elses"
REPLAY_AGE_S = 3600
COPY_AFTER_S = 0.05
_log = logging.getLogger("payment_sim")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where webhooks go; without a url they go nowhere. While secrets rotate there are two, and each signs.

    Seconds: how long the endpoint may take, and the pause before the first repetition, which doubles up to `retry_max_s`.
    """

    url: str = ""
    secrets: tuple[str, ...] = ()
    timeout_s: float = 10.0
    retry_first_s: float = 1.0
    retry_max_s: float = 60.0
    attempts_max: int = 40

    def pause_s(self, attempt: int) -> float:
        return float(min(self.retry_max_s, self.retry_first_s * 2 ** min(attempt, 30)))


def deliveries_of(event: Event, fault: Fault | None, now: float, place: int, count: int) -> list[Delivery]:
    """Returns the ways that an event takes. It is the `place`-th of `count` that happened at once."""

    def way(delay_s: float = 0.0, flaw: str = "") -> Delivery:
        return Delivery(new_id("whd_"), event.id, now + delay_s, flaw=flaw)

    if fault is None:
        return [way()]
    match fault.kind:
        case FaultKind.LOST:
            return []
        case FaultKind.LATE:
            return [way(fault.delay_s)]
        case FaultKind.DUPLICATED:
            return [way(), way(COPY_AFTER_S), way(fault.delay_s)]
        case FaultKind.REORDERED:
            return [way((count - 1 - place) * fault.delay_s)]
        case FaultKind.REPLAYED:
            return [way(), way(COPY_AFTER_S, FaultKind.REPLAYED)]
        case FaultKind.WRONG_SECRET | FaultKind.ROTATED_SECRET as kind:
            return [way(flaw=kind)]
        case _:
            return [way()]


def body_of(event: Event, pending: int) -> bytes:
    """Returns the bytes that are sent, spread over lines as the provider's are."""
    return json.dumps(event_document(event, pending_webhooks=pending), indent=2).encode()


def header_of(endpoint: Endpoint, delivery: Delivery, body: bytes, now: float) -> str:
    """Returns the signature header, wrong in the way that the delivery asks for."""
    match delivery.flaw:
        case FaultKind.WRONG_SECRET:
            return signatures.header([SOMEBODY_ELSES], int(now), body)
        case FaultKind.ROTATED_SECRET:
            return signatures.header([SOMEBODY_ELSES, *endpoint.secrets], int(now), body)
        case FaultKind.REPLAYED:
            return signatures.header(endpoint.secrets, int(now) - REPLAY_AGE_S, body)
        case _:
            return signatures.header(endpoint.secrets, int(now), body)


async def post(session: aiohttp.ClientSession, endpoint: Endpoint, body: bytes, header: str) -> int:
    """Returns the status, 0 if there was no answer."""
    headers = {"Content-Type": "application/json; charset=utf-8", "Stripe-Signature": header, "User-Agent": "Stripe/1.0 (simulated)"}
    timeout = aiohttp.ClientTimeout(total=endpoint.timeout_s)
    try:
        async with session.post(endpoint.url, data=body, headers=headers, timeout=timeout, allow_redirects=False) as response:
            return response.status
    except (aiohttp.ClientError, OSError, ValueError) as error:
        _log.debug("the webhook endpoint does not answer: %s", error)
        return 0
