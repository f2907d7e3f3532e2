"""Plays the faults over HTTP."""

from __future__ import annotations

from aiohttp import web

from deploy.local.payment_sim.errors import lock_timeout, rate_limited
from deploy.local.payment_sim.faults import Fault, FaultKind

# What can happen to an answer whether or not the request was carried out. INTERNAL_ERROR is not here: the API itself keeps it.
FAULTS_WITHOUT_EFFECT = frozenset({FaultKind.DROP, FaultKind.UNAVAILABLE, FaultKind.BAD_JSON, FaultKind.RATE_LIMIT, FaultKind.LOCK_TIMEOUT})
_HALF = '{"id": "pi_3", "object": "payment_intent", "amou'


async def broken_answer(fault: Fault, request: web.Request) -> web.Response:
    """Gives the answer that the fault asks for. Raises ApiError."""
    match fault.kind:
        case FaultKind.DROP:
            return dropped(request)
        case FaultKind.UNAVAILABLE:
            return web.Response(status=503, text="<html><body>503 Service Unavailable</body></html>", content_type="text/html")
        case FaultKind.BAD_JSON:
            return web.Response(text=_HALF, content_type="application/json")
        case FaultKind.LOCK_TIMEOUT:
            raise lock_timeout()
        case _:
            raise rate_limited(fault.retry_after_s)


def dropped(request: web.Request) -> web.Response:
    """Resets the connection; the answer goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
