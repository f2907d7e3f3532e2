"""The accrual system's HTTP contract:

- `POST /api/goods` `{"match": "Bork", "reward": 10, "reward_type": "%"}`: 200, 400, 409 if the match is registered.
- `POST /api/orders` `{"order": "<number>", "goods": [{"description": "Kettle Bork", "price": 7000}]}`: 202, 400, 409 if taken before.
- `GET /api/orders/{number}`: 200 with `order`, `status` and, if points are earned, `accrual`; 204 not registered; 429; 500.

`/livez` and `/readyz` answer 200 while the process and its store work. The module `control` describes `/control/...`, which only
the simulator has.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from deploy.local.accrual_sim.arrivals import Arrival
from deploy.local.accrual_sim.control import control_routes
from deploy.local.accrual_sim.fault_answers import faulty_answer, too_many_requests
from deploy.local.accrual_sim.faults import Fault, FaultKind, Operation
from deploy.local.accrual_sim.orders import NUMBER_LENGTH_MAX
from deploy.local.accrual_sim.rewards import Good, Reward, RewardType
from deploy.local.accrual_sim.simulator import Simulator, is_order_number
from deploy.local.simulation.documents import BadRequest, Fields, parse_json
from shared.clock import Clock

BODY_SIZE_MAX = 1 << 20
BODY_TIMEOUT_S = 10.0
GOODS_MAX = 1000
# 500 characters are at most 2000 bytes: a key of a PostgreSQL index has room for 2700.
MATCH_LENGTH_MAX = 500
DESCRIPTION_LENGTH_MAX = 10_000

ARRIVAL = web.RequestKey("arrival", Arrival)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_log = logging.getLogger("accrual_sim")


def create_app(simulator: Simulator, *, clock: Clock) -> web.Application:
    """Returns the application; one simulator can be served by several, one after another."""
    api = AccrualApi(simulator, clock=clock)
    app = web.Application(middlewares=[answer_errors], client_max_size=BODY_SIZE_MAX)
    app.add_routes(
        [
            web.post("/api/goods", api.observed(Operation.POST_GOODS, api.post_goods)),
            web.post("/api/orders", api.observed(Operation.POST_ORDER, api.post_order)),
            web.get("/api/orders/{number}", api.observed(Operation.GET_ORDER, api.get_order), allow_head=False),
            web.get("/livez", api.livez),
            web.get("/readyz", api.readyz),
            *control_routes(simulator),
        ]
    )
    return app


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns every failure into an answer that shows nothing internal, and writes one line per request."""
    started = time.monotonic()
    try:
        await _read_body(request)
        response = await handler(request)
    except BadRequest as error:
        response = web.Response(status=400, text=str(error))
    except web.HTTPException as error:
        response = error
    except Exception:  # noqa: BLE001 (the last line of defence: it is logged, and the caller gets the 500 of the contract)
        _log.exception("unexpected failure")
        response = web.Response(status=500, text="internal error")
    _log_request(request, response, time.monotonic() - started)
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


def _log_request(request: web.Request, response: web.StreamResponse, duration_s: float) -> None:
    arrival: Arrival | None = request.get(ARRIVAL)
    fault = None if arrival is None else arrival.fault
    status = response.status if arrival is None or arrival.status is None else arrival.status
    fields = {"method": request.method, "path": request.raw_path[:200], "status": status, "duration_ms": round(duration_s * 1000, 1)}
    level = logging.DEBUG if request.path in ("/livez", "/readyz") else logging.INFO
    _log.log(level, "request", extra={"fields": fields | ({} if fault is None else {"fault": fault.value})})


class AccrualApi:
    """The handlers."""

    def __init__(self, simulator: Simulator, *, clock: Clock) -> None:
        self._simulator = simulator
        self._clock = clock

    def observed(self, operation: Operation, handler: Handler) -> Handler:
        """Wraps a handler of the contract: its requests are logged as arrivals, limited, and hit by faults."""

        async def observe(request: web.Request) -> web.StreamResponse:
            order = _order_of(operation, request, await request.read())
            arrival = self._simulator.arrived(operation, order)
            request[ARRIVAL] = arrival
            try:
                response = await self._limited(operation, order or "", arrival, request, handler)
            except BadRequest:
                arrival.status = 400
                raise
            arrival.status = 0 if arrival.fault is FaultKind.DROP else response.status
            return response

        return observe

    async def _limited(
        self, operation: Operation, order: str, arrival: Arrival, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        wait_s = self._simulator.throttled_for(operation)
        if wait_s is not None:
            return too_many_requests(self._simulator.behaviour.rate_limit_per_minute, str(max(1, math.ceil(wait_s))))
        fault = self._simulator.faults.take(operation, order)
        if fault is None:
            return await handler(request)
        arrival.fault = fault.kind
        return await self._faulty(fault, order, request, handler)

    async def _faulty(self, fault: Fault, order: str, request: web.Request, handler: Handler) -> web.StreamResponse:
        if fault.kind is FaultKind.SLOW:
            if not fault.after:
                await asyncio.sleep(fault.delay_s)
                return await handler(request)
            response = await handler(request)
            await asyncio.sleep(fault.delay_s)
            return response
        if fault.after:
            await handler(request)
        limit = self._simulator.behaviour.rate_limit_per_minute
        return await faulty_answer(fault, request, order=order, limit=limit, clock=self._clock)

    async def post_goods(self, request: web.Request) -> web.Response:
        added = await self._simulator.register_reward(_reward_from(await request.read()))
        return web.Response() if added else web.Response(status=409, text="match is registered already")

    async def post_order(self, request: web.Request) -> web.Response:
        number, goods = _order_from(await request.read())
        taken = await self._simulator.register_order(number, goods)
        return web.Response(status=202) if taken else web.Response(status=409, text="order was accepted already")

    async def get_order(self, request: web.Request) -> web.Response:
        answer = await self._simulator.answer(request.match_info["number"])
        if answer is None:
            return web.Response(status=204)
        return web.Response(text=answer.as_json(), content_type="application/json")

    async def livez(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def readyz(self, _: web.Request) -> web.Response:
        usable = await self._simulator.storage.is_usable()
        return web.Response(text="ok") if usable else web.Response(status=503, text="the store cannot be used")


def _order_of(operation: Operation, request: web.Request, body: bytes) -> str | None:
    """Returns the order number that a request is about, if it can be told, for the log and for faults."""
    if operation is Operation.GET_ORDER:
        return request.match_info["number"][:NUMBER_LENGTH_MAX]
    if operation is Operation.POST_GOODS:
        return None
    try:
        return Fields(parse_json(body)).text("order", length_max=NUMBER_LENGTH_MAX)
    except BadRequest:
        return None


def _reward_from(body: bytes) -> Reward:
    given = Fields(parse_json(body))
    match = given.text("match", length_min=1, length_max=MATCH_LENGTH_MAX)
    try:
        reward_type = RewardType(given.text("reward_type", length_max=10))
    except ValueError:
        raise BadRequest("reward_type: must be % or pt") from None
    return Reward(match, given.amount("reward"), reward_type)


def _order_from(body: bytes) -> tuple[str, list[Good]]:
    given = Fields(parse_json(body))
    number = given.text("order", length_max=NUMBER_LENGTH_MAX)
    if not is_order_number(number):
        raise BadRequest("order: must be digits with the right check digit (Luhn)")
    lines = [Fields(line) for line in given.items("goods", count_max=GOODS_MAX)]
    return number, [Good(line.text("description", length_max=DESCRIPTION_LENGTH_MAX), line.amount("price")) for line in lines]
