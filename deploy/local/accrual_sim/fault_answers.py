"""Plays the faults over HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime

from aiohttp import web

from deploy.local.accrual_sim.faults import Fault, FaultKind, RetryAfterForm
from shared.clock import Clock

_log = logging.getLogger(__name__)
_CHUNK = b" " * 65_536


def too_many_requests(limit: int, retry_after: str | None) -> web.Response:
    """Returns the 429 of the contract, without Retry-After if that is None."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return web.Response(status=429, text=f"No more than {limit} requests per minute allowed", headers=headers)


async def faulty_answer(fault: Fault, request: web.Request, *, order: str, limit: int, clock: Clock) -> web.StreamResponse:
    """Gives the answer that the fault asks for. SLOW is not here: it only delays the right answer."""
    match fault.kind:
        case FaultKind.INTERNAL_ERROR:
            return web.Response(status=500, text="simulated failure")
        case FaultKind.NO_CONTENT:
            return web.Response(status=204)
        case FaultKind.TOO_MANY_REQUESTS:
            return too_many_requests(limit, _retry_after(fault, clock.now()))
        case FaultKind.DROP:
            return _drop(request)
        case FaultKind.CUT:
            return await _cut(request, order)
        case FaultKind.HUGE_BODY:
            return await _huge(request, order, fault.size_bytes)
        case _:
            return web.Response(text=_nonsense()[fault.kind](order), content_type="application/json")


def _nonsense() -> Mapping[FaultKind, Callable[[str], str]]:
    """Wrong bodies by fault, each made for the order number that was asked for."""
    return {
        FaultKind.OTHER_ORDER: lambda order: _processed(f"{order}0", "100"),
        FaultKind.UNKNOWN_STATUS: lambda order: f'{{"order":"{order}","status":"MAYBE"}}',
        FaultKind.NEGATIVE_ACCRUAL: lambda order: _processed(order, "-100"),
        FaultKind.ABSURD_ACCRUAL: lambda order: _processed(order, "1" + "0" * 30),
        FaultKind.NAN_ACCRUAL: lambda order: _processed(order, "NaN"),
        FaultKind.TEXT_ACCRUAL: lambda order: _processed(order, '"a hundred"'),
        FaultKind.WRONG_SHAPE: lambda order: f'["{order}"]',
        FaultKind.BAD_JSON: lambda order: _processed(order, "100")[:-5],
    }


def _processed(order: str, accrual: str) -> str:
    return f'{{"order":"{order}","status":"PROCESSED","accrual":{accrual}}}'


def _retry_after(fault: Fault, now: datetime) -> str | None:
    match fault.retry_after_form:
        case RetryAfterForm.SECONDS:
            return str(fault.retry_after_s)
        case RetryAfterForm.DATE:
            return format_datetime(now + timedelta(seconds=fault.retry_after_s), usegmt=True)
        case RetryAfterForm.NONSENSE:
            return "in a while"
        case RetryAfterForm.MISSING:
            return None


def _drop(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)  # goes nowhere


async def _cut(request: web.Request, order: str) -> web.StreamResponse:
    body = _processed(order, "100").encode()
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def _huge(request: web.Request, order: str, size_bytes: int) -> web.StreamResponse:
    # Padding of white space is valid JSON: only a client that limits what it reads notices.
    head = _processed(order, "100").encode()
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(head) + size_bytes
    await response.prepare(request)
    try:
        await response.write(head)
        for start in range(0, size_bytes, len(_CHUNK)):
            await response.write(_CHUNK[: size_bytes - start])
            await asyncio.sleep(0)
    except ConnectionError:
        _log.debug("the client did not want %d bytes", size_bytes)
    return response
