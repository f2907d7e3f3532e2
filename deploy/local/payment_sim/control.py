"""The control endpoint, which tests and demos use and no real provider has. Bodies and answers are JSON; bad ones get 400.

- `PUT /control/faults` `{"faults": [{"kind": "drop", "operation": "create", "after": true, "times": 1}, ...]}` replaces the schedule; the
  first line that applies hits a request or a webhook. Fields and kinds are those of `faults.Fault` and `faults.FaultKind`.
- `GET /control/faults` shows the schedule and how often each line fired; `DELETE` empties it.
- `GET /control/requests?operation=create&key=...&subject=pi_...` lists the arrivals (all filters optional), oldest first; `DELETE`
  empties the log.
- `GET`, `PUT /control/settings` `{"processing_s": 1, "refund_s": 1, "hold_s": 604800, "webhook_url": "http://...",
  "webhook_secrets": ["whsec_..."], "webhook_retry_first_s": 1, "latency_s": 0, "chaos_seed": 7, "chaos_rate": 0.2}`: fields not given
  stay as they are, `chaos_seed` null ends the chaos; `DELETE` goes back to the settings of the start.
- `GET /control/money` lists what was captured and refunded of each intent, with its metadata: the books to compare ours with.
- `GET /control/deliveries` lists the webhooks that have not been taken yet.
- `POST /control/events/{id}/resend` `{"flaw": "wrong_secret" | "rotated_secret" | "replayed"}` (all optional) sends an event once more.
- `POST /control/payment_intents/{id}/complete_action` `{"succeeded": true}` does what the payer would on the page.
- `DELETE /control/state` forgets all records; `DELETE /control` does all the DELETEs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from aiohttp import web

from deploy.local.payment_sim import operations
from deploy.local.payment_sim.arrivals import Arrival
from deploy.local.payment_sim.books import Books
from deploy.local.payment_sim.chaos import ChaosSettings
from deploy.local.payment_sim.faults import FAULTS_MAX, FaultKind, Operation, fault_from
from deploy.local.payment_sim.machine import Delays
from deploy.local.payment_sim.models import Charge, Delivery, Document, Event, Intent
from deploy.local.payment_sim.simulator import Behaviour, Request, Simulator
from deploy.local.payment_sim.webhooks import Endpoint
from deploy.local.simulation.documents import BadRequest, Fields, parse_json

DELAY_S_MAX = 30 * 86_400.0
SECRETS_MAX = 10
_SETTINGS = frozenset(
    {
        *("processing_s", "refund_s", "hold_s", "webhook_url", "webhook_secrets", "webhook_retry_first_s", "latency_s"),
        *("chaos_seed", "chaos_rate"),
    }
)


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
        web.get("/control/money", control.get_money),
        web.get("/control/deliveries", control.get_deliveries),
        web.post("/control/events/{id}/resend", control.resend),
        web.post("/control/payment_intents/{id}/complete_action", control.complete_action),
        web.delete("/control/state", control.delete_state),
        web.delete("/control", control.delete_everything),
    ]


class ControlApi:
    """The handlers."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def get_faults(self, _: web.Request) -> web.Response:
        lines = [dataclasses.asdict(line.fault) | {"fired": line.fired} for line in self._simulator.faults.scheduled]
        return web.json_response({"faults": lines})

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
        arrivals = self._simulator.arrivals.of(operation=operation, key=request.query.get("key"), subject=request.query.get("subject"))
        lines = [_arrival_document(arrival) for arrival in arrivals]
        return web.json_response({"total": self._simulator.arrivals.total, "requests": lines})

    async def delete_requests(self, _: web.Request) -> web.Response:
        self._simulator.arrivals.clear()
        return web.Response(status=204)

    async def get_settings(self, _: web.Request) -> web.Response:
        return web.json_response(_settings_document(self._simulator.behaviour))

    async def put_settings(self, request: web.Request) -> web.Response:
        self._simulator.behave(changed(self._simulator.behaviour, parse_json(await request.read())))
        return await self.get_settings(request)

    async def delete_settings(self, _: web.Request) -> web.Response:
        self._simulator.reset_behaviour()
        return web.Response(status=204)

    async def get_money(self, _: web.Request) -> web.Response:
        return web.json_response(await self._simulator.ask(money))

    async def get_deliveries(self, _: web.Request) -> web.Response:
        return web.json_response(await self._simulator.ask(_deliveries))

    async def resend(self, request: web.Request) -> web.Response:
        given = Fields(parse_json(await request.read() or b"{}"), known=frozenset({"flaw"}))
        flaw, flaws = (
            given.text_or_none("flaw", length_max=50) or "",
            (FaultKind.WRONG_SECRET, FaultKind.ROTATED_SECRET, FaultKind.REPLAYED),
        )
        if flaw and flaw not in flaws:
            raise BadRequest(f"flaw: must be one of {', '.join(flaws)}")
        await self._simulator.resend(request.match_info["id"], flaw)
        return web.Response(status=204)

    async def complete_action(self, request: web.Request) -> web.Response:
        given = Fields(parse_json(await request.read() or b"{}"), known=frozenset({"succeeded"}))
        command = operations.complete_action(request.match_info["id"], succeeded=given.flag("succeeded", default=True))
        answer = await self._simulator.perform(command, Request(request.path))
        return web.Response(status=answer.status, text=answer.body, content_type="application/json")

    async def delete_state(self, _: web.Request) -> web.Response:
        await self._simulator.forget()
        return web.Response(status=204)

    async def delete_everything(self, _: web.Request) -> web.Response:
        await self._simulator.reset()
        return web.Response(status=204)


def money(books: Books) -> Document:
    """Lists each intent's money, and what it adds up to by currency. A refund counts unless it has failed."""
    lines, totals = [], dict[str, dict[str, int]]()
    for intent in books.all(Intent):
        charge = books.find(Charge, intent.latest_charge or "")
        captured, refunded = intent.amount_received, charge.amount_refunded if charge else 0
        lines.append(
            {
                "id": intent.id,
                "status": intent.status,
                "currency": intent.currency,
                "amount": intent.amount,
                "captured": captured,
                "refunded": refunded,
                "held": intent.amount_capturable,
                "metadata": intent.metadata,
            }
        )
        total = totals.setdefault(intent.currency, {"captured": 0, "refunded": 0, "held": 0})
        for name, amount in (("captured", captured), ("refunded", refunded), ("held", intent.amount_capturable)):
            total[name] += amount
    return {"payment_intents": lines, "totals": totals}


def _deliveries(books: Books) -> Document:
    return {"deliveries": [_delivery_document(books, delivery) for delivery in books.all(Delivery)]}


def _delivery_document(books: Books, delivery: Delivery) -> Document:
    event = books.find(Event, delivery.event)
    return dataclasses.asdict(delivery) | {"type": event.type if event else None, "intent": event.intent if event else None}


def changed(behaviour: Behaviour, document: object) -> Behaviour:
    """Returns the behaviour with what a JSON object changes. Raises BadRequest."""
    given = Fields(document, known=_SETTINGS)
    delays, endpoint, chaos = behaviour.delays, behaviour.endpoint, behaviour.chaos

    def seconds(name: str, now: float) -> float:
        return given.number(name, default=now, low=0, high=DELAY_S_MAX)

    return dataclasses.replace(
        behaviour,
        delays=Delays(seconds("processing_s", delays.processing_s), seconds("refund_s", delays.refund_s), seconds("hold_s", delays.hold_s)),
        endpoint=_endpoint(endpoint, given, seconds("webhook_retry_first_s", endpoint.retry_first_s)),
        latency_s=seconds("latency_s", behaviour.latency_s),
        chaos=_chaos(chaos, given, document),
    )


def _endpoint(now: Endpoint, given: Fields, retry_first_s: float) -> Endpoint:
    url = given.text_or_none("webhook_url", length_max=2000)
    if url and not url.startswith(("http://", "https://")):
        raise BadRequest("webhook_url: must begin with http:// or https://")
    secrets = given.items("webhook_secrets", count_max=SECRETS_MAX) if given.has("webhook_secrets") else list(now.secrets)
    texts = tuple(secret for secret in secrets if isinstance(secret, str) and secret)
    if len(texts) != len(secrets):
        raise BadRequest("webhook_secrets: must be texts")
    return dataclasses.replace(now, url=now.url if url is None else url, secrets=texts, retry_first_s=retry_first_s)


def _chaos(now: ChaosSettings | None, given: Fields, document: object) -> ChaosSettings | None:
    if isinstance(document, dict) and "chaos_seed" in document and document["chaos_seed"] is None:
        return None
    before = now or ChaosSettings(0)
    seed = given.whole("chaos_seed", default=before.seed, low=0, high=1 << 31)
    rate = given.number("chaos_rate", default=before.rate, low=0, high=1)
    return ChaosSettings(seed, rate) if now or given.has("chaos_seed") else None


def _settings_document(behaviour: Behaviour) -> Document:
    """Without secrets: whoever asks knows them, or should not."""
    chaos = behaviour.chaos
    return {
        **dataclasses.asdict(behaviour.delays),
        "webhook_url": behaviour.endpoint.url,
        "webhook_retry_first_s": behaviour.endpoint.retry_first_s,
        "latency_s": behaviour.latency_s,
        "chaos_seed": chaos.seed if chaos else None,
        "chaos_rate": chaos.rate if chaos else None,
    }


def _arrival_document(arrival: Arrival) -> Mapping[str, object]:
    return dataclasses.asdict(arrival) | {"arrived_at": arrival.arrived_at.isoformat()}
