"""The control endpoint, which tests and demos use and no real accrual system has. Bodies and answers are JSON; bad ones get 400.

- `PUT /control/faults` `{"faults": [{"kind": "internal_error", "order": "18", "times": 3}, ...]}` replaces the schedule; the first
  line that applies hits a request. Fields besides `kind`: `operation` (get_order, the default; post_order; post_goods), `order`
  (default all), `times` (default for ever), `probability` (0 to 1), `after` (true: the request takes effect, only its answer is
  lost), `delay_s` (for slow), `retry_after_s` and `retry_after_form` (seconds, date, missing, nonsense; for too_many_requests),
  `size_bytes` (for huge_body).
  Kinds: internal_error, slow, other_order, unknown_status, negative_accrual, absurd_accrual, nan_accrual, text_accrual, wrong_shape,
  bad_json, huge_body, no_content, drop, cut, too_many_requests.
- `GET /control/faults` shows the schedule and how often each line fired; `DELETE` empties it.
- `GET /control/requests?order=18&operation=get_order` lists the arrivals (both filters optional), oldest first; `DELETE` empties the log.
- `GET`, `PUT /control/settings` `{"calculation_delay_s": 0, "rate_limit_per_minute": 60, "auto_register": true}`: fields not given stay as
  they are; `DELETE` goes back to the settings of the start, with an unused rate limit.
- `PUT /control/orders/{number}` `{"status": "PROCESSED", "accrual": 729.98}` gives an order, known or not, that status from now on.
- `DELETE /control/state` forgets rewards and orders.
- `DELETE /control` does all the DELETEs.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

from aiohttp import web

from deploy.local.accrual_sim.arrivals import Arrival
from deploy.local.accrual_sim.faults import FAULTS_MAX, Operation, fault_from
from deploy.local.accrual_sim.orders import Status
from deploy.local.accrual_sim.simulator import Behaviour, Simulator, is_order_number
from deploy.local.simulation.documents import BadRequest, Fields, parse_json

DELAY_S_MAX = 86_400.0
RATE_LIMIT_MAX = 10_000_000


def control_routes(simulator: Simulator) -> list[web.RouteDef]:
    """Returns the routes of the control endpoint."""
    control = ControlApi(simulator)
    return [
        web.get("/control/faults", control.get_faults),
        web.put("/control/faults", control.put_faults),
        web.delete("/control/faults", control.delete_faults),
        web.get("/control/requests", control.get_requests),
        web.delete("/control/requests", control.delete_requests),
        web.get("/control/settings", control.get_settings),
        web.put("/control/settings", control.put_settings),
        web.delete("/control/settings", control.delete_settings),
        web.put("/control/orders/{number}", control.put_order),
        web.delete("/control/state", control.delete_state),
        web.delete("/control", control.delete_everything),
    ]


class ControlApi:
    """The handlers."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def get_faults(self, _: web.Request) -> web.Response:
        lines = [dataclasses.asdict(line.fault) | {"fired": line.fired} for line in self._simulator.faults.scheduled]
        return _json({"faults": lines})

    async def put_faults(self, request: web.Request) -> web.Response:
        given = Fields(parse_json(await request.read()), known=frozenset({"faults"}))
        self._simulator.faults.replace([fault_from(line) for line in given.items("faults", count_max=FAULTS_MAX)])
        return await self.get_faults(request)

    async def delete_faults(self, _: web.Request) -> web.Response:
        self._simulator.faults.replace([])
        return web.Response(status=204)

    async def get_requests(self, request: web.Request) -> web.Response:
        try:
            operation = Operation(request.query["operation"]) if "operation" in request.query else None
        except ValueError:
            raise BadRequest(f"operation: must be one of {', '.join(Operation)}") from None
        arrivals = self._simulator.arrivals.of(order=request.query.get("order"), operation=operation)
        return _json({"total": self._simulator.arrivals.total, "requests": [_arrival_document(arrival) for arrival in arrivals]})

    async def delete_requests(self, _: web.Request) -> web.Response:
        self._simulator.arrivals.clear()
        return web.Response(status=204)

    async def get_settings(self, _: web.Request) -> web.Response:
        return _json(dataclasses.asdict(self._simulator.behaviour))

    async def put_settings(self, request: web.Request) -> web.Response:
        self._simulator.behave(_changed(self._simulator.behaviour, parse_json(await request.read())))
        return await self.get_settings(request)

    async def delete_settings(self, _: web.Request) -> web.Response:
        self._simulator.reset_behaviour()
        return web.Response(status=204)

    async def put_order(self, request: web.Request) -> web.Response:
        number = request.match_info["number"]
        if not is_order_number(number):
            raise BadRequest("the order number must be digits with the right check digit (Luhn)")
        given = Fields(parse_json(await request.read()), known=frozenset({"status", "accrual"}))
        try:
            status = Status(given.text("status", length_max=50))
        except ValueError:
            raise BadRequest(f"status: must be one of {', '.join(Status)}") from None
        await self._simulator.settle_order(number, status, given.amount_or_none("accrual"))
        return web.Response(status=204)

    async def delete_state(self, _: web.Request) -> web.Response:
        await self._simulator.storage.clear()
        return web.Response(status=204)

    async def delete_everything(self, _: web.Request) -> web.Response:
        self._simulator.reset()
        await self._simulator.storage.clear()
        return web.Response(status=204)


def _changed(behaviour: Behaviour, document: object) -> Behaviour:
    given = Fields(document, known=frozenset(field.name for field in dataclasses.fields(Behaviour)))
    return Behaviour(
        calculation_delay_s=given.number("calculation_delay_s", default=behaviour.calculation_delay_s, low=0, high=DELAY_S_MAX),
        rate_limit_per_minute=given.whole("rate_limit_per_minute", default=behaviour.rate_limit_per_minute, low=1, high=RATE_LIMIT_MAX),
        auto_register=given.flag("auto_register", default=behaviour.auto_register),
    )


def _arrival_document(arrival: Arrival) -> Mapping[str, object]:
    return dataclasses.asdict(arrival) | {"arrived_at": arrival.arrived_at.isoformat()}


def _json(document: object) -> web.Response:
    return web.Response(text=json.dumps(document), content_type="application/json")
