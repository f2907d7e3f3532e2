"""What happens to every request: its trace, its place among the others, its time, its answer whatever happens, its line in the log."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.typedefs import Middleware

from services.gateway.domain.errors import MalformedRequest
from services.gateway.entrypoints.http.budget import Budget
from services.gateway.entrypoints.http.compression import compress
from services.gateway.entrypoints.http.connections import Connections
from services.gateway.entrypoints.http.metrics import HttpMetrics
from services.gateway.entrypoints.http.problems import Problems
from shared.auth.principal import ANONYMOUS
from shared.grpc.call import current_principal
from shared.grpc.in_flight import InFlight
from shared.observability.tracing import TRACEPARENT, start_span, trace_id_text

log = structlog.get_logger()

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
VERSIONS = (HttpVersion10, HttpVersion11)
OTHER = "_OTHER"
# They tell caches and browsers to leave answers alone, and nobody what the edge is made of.
HEADERS = {"Server": "galen", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Reception:
    """Receives requests. Once it is `draining` every answer ends its connection, so that clients go elsewhere."""

    def __init__(self, problems: Problems, in_flight: InFlight, budget: Budget, connections: Connections, metrics: HttpMetrics) -> None:
        self._problems = problems
        self._in_flight = in_flight
        self._budget = budget
        self._connections = connections
        self._metrics = metrics
        self.draining = False

    def middleware(self) -> Middleware:
        @web.middleware
        async def receive(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._observe(request, handler)

        return receive

    def answer_error(self, error: BaseException | None) -> web.Response:
        """Answers what did not even become a request."""
        began, trace_id = time.perf_counter(), trace_id_text(start_span(None))
        known = self._problems.known(error if isinstance(error, Exception) else RuntimeError("no request"), trace_id)
        response = self._problems.answer(known, trace_id)
        response.headers.update(HEADERS)
        self._record(OTHER, OTHER, response.status, known.reason, time.perf_counter() - began)
        return response

    async def _observe(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        span = start_span(request.headers.get(TRACEPARENT))
        current_principal.set(ANONYMOUS)
        transport, began = request.transport, time.perf_counter()
        self._connections.request_began(transport)
        status, reason = 499, None
        try:
            response, reason = await self._answer(request, handler, trace_id_text(span))
            status = response.status
        finally:
            self._connections.request_ended(transport)
            method = request.method if request.method in METHODS else OTHER
            self._record(_route(request), method, status, reason, time.perf_counter() - began)
        compress(request, response)
        if self.draining:
            response.force_close()
        return response

    async def _answer(self, request: web.Request, handler: Handler, trace_id: str) -> tuple[web.StreamResponse, str | None]:
        try:
            with self._in_flight:
                if request.version not in VERSIONS:
                    raise MalformedRequest
                self._budget.start()
                return await handler(request), None
        except Exception as error:  # noqa: BLE001  nothing may reach aiohttp untranslated: its answers are not ours
            failure = self._problems.known(error, trace_id)
            return self._problems.answer(failure, trace_id), failure.reason

    def _record(self, route: str, method: str, status: int, reason: str | None, took_s: float) -> None:
        self._metrics.duration.labels(route, method, str(status)).observe(took_s)
        actor = current_principal.get().actor
        log.info("request", method=method, route=route, status=status, reason=reason, actor=actor, ms=round(took_s * 1000, 2))


def _route(request: web.Request) -> str:
    """Returns the template of the route: raw paths are without number, and may hold anything."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else OTHER


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
