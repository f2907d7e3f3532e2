"""What the payer's browser sees: `/pay/{client_secret}` confirms an intent with a card, or completes what the payer is asked for.

    curl -d payment_method=pm_card_visa http://127.0.0.1:8091/pay/pi_..._secret_...      # confirms
    curl -d outcome=succeed http://127.0.0.1:8091/pay/pi_..._secret_...                   # or fail: completes the action

With `Accept: application/json` the answer is the intent, or the error. A real provider has its own pages here, and a library for others'.
"""

from __future__ import annotations

import html
import json
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from aiohttp import web

from deploy.local.payment_sim import cards, operations
from deploy.local.payment_sim.errors import invalid, no_such
from deploy.local.payment_sim.faults import FaultKind, Operation, Subject
from deploy.local.payment_sim.forms import Params, parse_form
from deploy.local.payment_sim.machine import CONFIRMABLE
from deploy.local.payment_sim.models import Intent
from deploy.local.payment_sim.simulator import Request, Simulator

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="referrer" content="no-referrer"><title>Pay</title>
<body style="font-family:sans-serif;max-width:30em;margin:3em auto"><h1>{amount} {currency}</h1><p>{status}</p>{form}</body></html>
"""
_HEADERS = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "X-Frame-Options": "DENY"}


def page_routes(simulator: Simulator) -> list[web.RouteDef]:
    """Returns the routes of the payer's pages."""
    pages = PayerPages(simulator)
    return [web.get("/pay/{secret}", _shown(pages.show)), web.post("/pay/{secret}", _shown(pages.answer))]


def _shown(handler: Callable[[web.Request], Awaitable[web.Response]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def show(request: web.Request) -> web.Response:
        response = await handler(request)
        response.headers.update(_HEADERS)
        return response

    return show


class PayerPages:
    """The handlers. Whoever knows an intent's client secret is its payer."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def show(self, request: web.Request) -> web.Response:
        return _answered(request, self._intent(request))

    async def answer(self, request: web.Request) -> web.Response:
        intent = self._intent(request)
        params = parse_form((await request.read()).decode("utf-8", "replace"))
        command = _command(intent, params)
        subject = Subject(Operation.CONFIRM, intent.id, intent.id, intent.metadata)
        # Only what becomes of the card is the simulator's to play here: the payer's own connection is no part of what is tried out.
        fault = self._simulator.fault_for(subject) if intent.status != "requires_action" else None
        is_cards = fault is not None and fault.kind is FaultKind.CARD
        base_url = f"{request.scheme}://{request.host}"
        answer = await self._simulator.perform(command, Request(request.path, base_url=base_url), fault if is_cards else None)
        now = self._intent(request)
        if now.return_url and now.status != "requires_action":
            raise web.HTTPSeeOther(_back(now, answer.status == 200))
        return _answered(request, now, answer.status, json.loads(answer.body).get("error"))

    def _intent(self, request: web.Request) -> Intent:
        secret = request.match_info["secret"]
        intent = self._simulator.books.find(Intent, secret.partition("_secret_")[0])
        if intent is None or intent.client_secret != secret:
            raise no_such("payment_intent", "", "client_secret")
        return intent


def _command(intent: Intent, params: Params) -> operations.Command:
    """Raises ApiError."""
    if intent.status == "requires_action":
        outcome = params.choice("outcome", ("succeed", "fail")) or "succeed"
        return operations.complete_action(intent.id, succeeded=outcome == "succeed")
    params.only(("payment_method", "return_url"))
    if params.text("payment_method") is None:
        raise invalid("payment_method", "Which card?")
    return operations.confirm_intent(intent.id, params)


def _back(intent: Intent, succeeded: bool) -> str:
    told = {"payment_intent": intent.id, "payment_intent_client_secret": intent.client_secret}
    assert intent.return_url is not None
    separator = "&" if "?" in intent.return_url else "?"
    return intent.return_url + separator + urlencode(told | {"redirect_status": "succeeded" if succeeded else "failed"})


def _answered(request: web.Request, intent: Intent, status: int = 200, error: dict[str, object] | None = None) -> web.Response:
    if "application/json" in request.headers.get("Accept", ""):
        shown = {"error": error} if error else {"id": intent.id, "status": intent.status}
        return web.json_response(shown, status=status)
    said = f"{error['message']} ({intent.status})" if error else intent.status.replace("_", " ")
    amount = f"{intent.amount / 100:.2f}"
    page = _PAGE.format(amount=amount, currency=html.escape(intent.currency.upper()), status=html.escape(said), form=_form(intent))
    return web.Response(status=status, text=page, content_type="text/html")


def _form(intent: Intent) -> str:
    if intent.status == "requires_action":
        return "".join(
            f'<form method="post"><button name="outcome" value="{outcome}">{label}</button></form>'
            for outcome, label in (("succeed", "It is me"), ("fail", "It is not"))
        )
    if intent.status not in CONFIRMABLE:
        return ""
    choices = "".join(f"<option>{name}</option>" for name in cards.CARDS)
    return f'<form method="post"><select name="payment_method">{choices}</select> <button>Pay</button></form>'
