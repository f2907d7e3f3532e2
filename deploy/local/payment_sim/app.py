"""The provider's HTTP API, the part of it that payments by card use (docs.stripe.com/api):

- `POST /v1/payment_intents`, `POST /v1/payment_intents/{id}/confirm`, `/capture`, `/cancel`, `GET /v1/payment_intents/{id}`
- `POST /v1/refunds`, `GET /v1/refunds`, `GET /v1/refunds/{id}`
- `GET /v1/events`, `GET /v1/events/{id}`

Writes are form-encoded, answers JSON. `Authorization: Bearer sk_...` (or Basic with the key as user) is asked for everywhere; `pk_...`
with the intent's `client_secret` may read and confirm that intent, as a payer's browser does. The module `pages` has what the payer sees,
`control` what only the simulator has. `/livez` and `/readyz` answer 200 while the process and its store work.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import format_datetime

from aiohttp import web

from deploy.local.payment_sim import operations
from deploy.local.payment_sim.arrivals import Arrival
from deploy.local.payment_sim.books import new_id
from deploy.local.payment_sim.control import control_routes
from deploy.local.payment_sim.documents import API_VERSION
from deploy.local.payment_sim.errors import ApiError, no_such
from deploy.local.payment_sim.fault_answers import FAULTS_WITHOUT_EFFECT, broken_answer, dropped
from deploy.local.payment_sim.faults import Fault, FaultKind, Operation, Subject
from deploy.local.payment_sim.forms import Params, parse_form
from deploy.local.payment_sim.models import Intent, Refund
from deploy.local.payment_sim.pages import page_routes
from deploy.local.payment_sim.simulator import Request, Simulator, error_body
from deploy.local.simulation.documents import BadRequest
from shared.clock import Clock

BODY_SIZE_MAX = 1 << 18
BODY_TIMEOUT_S = 10.0
KEY_LENGTH_MAX = 255

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_log = logging.getLogger("payment_sim")


def create_app(simulator: Simulator, *, clock: Clock) -> web.Application:
    """Returns the application; one simulator can be served by several, one after another."""
    api = PaymentApi(simulator, clock=clock)
    app = web.Application(middlewares=[answer_errors], client_max_size=BODY_SIZE_MAX)
    intent = "/v1/payment_intents/{id}"
    app.add_routes(
        [
            web.post("/v1/payment_intents", api.write(Operation.CREATE, lambda _, params: operations.create_intent(params))),
            web.post(f"{intent}/confirm", api.write(Operation.CONFIRM, operations.confirm_intent)),
            web.post(f"{intent}/capture", api.write(Operation.CAPTURE, operations.capture_intent)),
            web.post(f"{intent}/cancel", api.write(Operation.CANCEL, operations.cancel_intent)),
            web.get(intent, api.read(Operation.GET, operations.get_intent), allow_head=False),
            web.post("/v1/refunds", api.write(Operation.REFUND, lambda _, params: operations.create_refund(params))),
            web.get("/v1/refunds", api.read(Operation.LIST_REFUNDS, lambda _, params: operations.list_refunds(params)), allow_head=False),
            web.get("/v1/refunds/{id}", api.read(Operation.GET_REFUND, lambda name, _: operations.get_refund(name)), allow_head=False),
            web.get("/v1/events", api.read(Operation.LIST_EVENTS, lambda _, params: operations.list_events(params)), allow_head=False),
            web.get("/v1/events/{id}", api.read(Operation.LIST_EVENTS, lambda name, _: operations.get_event(name)), allow_head=False),
            web.route("*", "/v1/{rest:.*}", unrecognized),
            web.get("/livez", api.livez),
            web.get("/readyz", api.readyz),
            *page_routes(simulator),
            *control_routes(simulator),
        ]
    )
    return app


async def unrecognized(request: web.Request) -> web.Response:
    message = f"Unrecognized request URL ({request.method}: {request.path[:200]})."
    return api_response(404, error_body(ApiError(404, message)))


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns every failure into an answer that shows nothing internal, and writes one line per request."""
    started = time.monotonic()
    try:
        await _read_body(request)
        response = await handler(request)
    except ApiError as error:
        response = api_response(error.status, error_body(error))
    except BadRequest as error:
        response = web.json_response({"error": {"message": str(error)}}, status=400)
    except web.HTTPException as error:
        response = error
    except Exception:  # noqa: BLE001 (the last line of defence: it is logged, and the caller gets a 500 that is kept under no key)
        _log.exception("unexpected failure")
        response = api_response(500, error_body(ApiError(500, "Something went wrong.", type="api_error")))
    level = logging.DEBUG if request.path in ("/livez", "/readyz") else logging.INFO
    duration_ms = round((time.monotonic() - started) * 1000, 1)
    # The pay page's path is the payer's secret.
    path = "/pay/..." if request.path.startswith("/pay/") else request.path[:200]
    _log.log(
        level, "request", extra={"fields": {"method": request.method, "path": path, "status": response.status, "duration_ms": duration_ms}}
    )
    if isinstance(response, web.HTTPException):
        raise response
    return response


async def _read_body(request: web.Request) -> None:
    """Reads the body once, for all who ask for it later; aiohttp itself would wait for a slow one for ever."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="the body took too long") from None
    except web.RequestPayloadError:
        raise BadRequest("the body cannot be read") from None


def api_response(status: int, body: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Returns an answer with the headers that the provider's have."""
    return web.Response(status=status, text=body, content_type="application/json", headers={**_advice(status, body), **(headers or {})})


def _advice(status: int, body: str) -> dict[str, str]:
    """Whether repeating may help: in doubt the provider leaves it out, and its library decides by the status."""
    if status == 409 or (status == 429 and '"lock_timeout"' in body):
        return {"Stripe-Should-Retry": "true"}
    # A 500 is kept under the key, so that repeating it only shows it again.
    return {"Stripe-Should-Retry": "false"} if status in (400, 402, 404, 500) else {}


@dataclass(frozen=True, slots=True)
class Call:
    """A request, read: what it is about, and what is told apart under its key."""

    subject: Subject
    params: Params
    request: Request


class PaymentApi:
    """The handlers."""

    def __init__(self, simulator: Simulator, *, clock: Clock) -> None:
        self._simulator = simulator
        self._clock = clock

    def write(self, operation: Operation, read: Callable[[str, Params], operations.Command]) -> Handler:
        """Handles a write: `read` takes what the path names and the parameters."""

        async def carry_out(call: Call, name: str, fault: Fault | None) -> web.Response:
            answer = await self._simulator.perform(read(name, call.params), call.request, fault)
            shown = {"Idempotency-Key": call.request.key} if call.request.key else {}
            if answer.replayed:
                shown |= {"Idempotent-Replayed": "true", "Original-Request": answer.replayed}
            return api_response(answer.status, answer.body, shown)

        return self._observed(operation, carry_out)

    def read(self, operation: Operation, read: Callable[[str, Params], operations.Question]) -> Handler:
        """Handles a question."""

        async def answer(call: Call, name: str, fault: Fault | None) -> web.Response:
            if fault and fault.kind is FaultKind.SLOW and not fault.after:
                await asyncio.sleep(fault.delay_s)
            return api_response(200, json.dumps(await self._simulator.ask(read(name, call.params)), indent=2))

        return self._observed(operation, answer)

    def _observed(self, operation: Operation, handler: Callable[[Call, str, Fault | None], Awaitable[web.Response]]) -> Handler:
        """Wraps a handler: requests are logged as arrivals, known by their key, and hit by faults."""

        async def observe(request: web.Request) -> web.StreamResponse:
            name, key = request.match_info.get("id", ""), request.headers.get("Idempotency-Key", "")
            arrived_s = time.monotonic()
            arrival = Arrival(operation, name, key, self._clock.now(), arrived_s, arrived_s + self._simulator.behaviour.latency_s)
            self._simulator.arrivals.add(arrival)
            request_id = new_id("req_")
            try:
                response = await self._answered(operation, request, request_id, arrival, handler)
            except ApiError as error:
                response = api_response(error.status, error_body(error), _headers_of(error))
            if not response.prepared:
                response.headers["Date"] = format_datetime(self._clock.now(), usegmt=True)  # what it tells may be another when it is sent
                await self._until_due(arrival)
                response.headers["Request-Id"] = request_id
                response.headers["Stripe-Version"] = request.headers.get("Stripe-Version", API_VERSION)
            arrival.status = 0 if arrival.fault is FaultKind.DROP else response.status
            arrival.replayed = "Idempotent-Replayed" in response.headers
            return response

        return observe

    async def _answered(
        self,
        operation: Operation,
        request: web.Request,
        request_id: str,
        arrival: Arrival,
        handler: Callable[[Call, str, Fault | None], Awaitable[web.Response]],
    ) -> web.StreamResponse:
        call = await self._call(operation, request, request_id)
        fault = self._simulator.fault_for(call.subject)
        if fault is None:
            return await handler(call, arrival.subject, None)
        arrival.fault = fault.kind
        is_broken = fault.kind in FAULTS_WITHOUT_EFFECT
        if is_broken and not fault.after:
            await self._until_due(arrival)
            return await broken_answer(fault, request)
        response = await handler(call, arrival.subject, fault)
        if fault.after and fault.kind is FaultKind.SLOW:
            await asyncio.sleep(fault.delay_s)
        if is_broken:
            await self._until_due(arrival)
            return dropped(request) if fault.kind is FaultKind.DROP else await broken_answer(fault, request)
        return response

    async def _until_due(self, arrival: Arrival) -> None:
        """Waits until the request may be answered, which was carried out at once: so it takes as long however busy the machine is."""
        await asyncio.sleep(arrival.due_s - time.monotonic())

    async def _call(self, operation: Operation, request: web.Request, request_id: str) -> Call:
        """Raises ApiError."""
        key = request.headers.get("Idempotency-Key", "") if request.method == "POST" else ""
        if len(key) > KEY_LENGTH_MAX or not key.isprintable():
            raise ApiError(400, f"Idempotency keys have up to {KEY_LENGTH_MAX} characters")
        text = (await request.read()).decode("utf-8", "replace") if request.method == "POST" else request.query_string
        params, name = parse_form(text), request.match_info.get("id", "")
        self._check_key(request, operation, name, params)
        base_url = f"{request.scheme}://{request.host}"
        fingerprint = hashlib.sha256(f"{request.path}\n{json.dumps(params.given, sort_keys=True)}".encode()).hexdigest()
        return Call(self._subject(operation, name, params, key), params, Request(request.path, key, fingerprint, request_id, base_url))

    def _subject(self, operation: Operation, name: str, params: Params, key: str) -> Subject:
        if operation is Operation.CREATE:
            return Subject(operation, key or new_id(""), "", params.metadata())
        refund = self._simulator.books.find(Refund, name)
        given = params.text("payment_intent") or ""
        intent = self._simulator.books.find(Intent, given or (refund.intent if refund else name))
        return Subject(operation, intent.id, intent.id, intent.metadata) if intent else Subject(operation, name)

    def _check_key(self, request: web.Request, operation: Operation, name: str, params: Params) -> None:
        """Raises ApiError."""
        key, wanted = _api_key(request), self._simulator.behaviour.api_key
        if not key:
            raise ApiError(
                401,
                "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth"
                " (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            )
        if key.startswith("pk_") and operation in (Operation.GET, Operation.CONFIRM):
            intent = self._simulator.books.find(Intent, name)
            if intent is None or params.text("client_secret") != intent.client_secret:
                raise no_such("payment_intent", name, "intent")
            return
        if not key.startswith(("sk_", "rk_")) or wanted not in ("", key):
            raise ApiError(401, f"Invalid API Key provided: {key[:8]}****")

    async def livez(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def readyz(self, _: web.Request) -> web.Response:
        usable = await self._simulator.storage.is_usable()
        return web.Response(text="ok") if usable else web.Response(status=503, text="the store cannot be used")


def _headers_of(error: ApiError) -> dict[str, str]:
    if error.retry_after_s is not None:
        return {"Retry-After": str(error.retry_after_s)}
    return {"WWW-Authenticate": 'Bearer realm="Stripe"'} if error.status == 401 else {}


def _api_key(request: web.Request) -> str:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""
