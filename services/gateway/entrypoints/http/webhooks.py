"""The route of the payment provider's messages: forwarded byte for byte, since a signature is of bytes. Who may send is for it to prove."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from services.gateway.application.ports import Payments
from services.gateway.entrypoints.http.bodies import Bodies

PAYMENTS = "/webhooks/payments"
SIGNATURE = "Stripe-Signature"


class WebhookRoutes:
    """Messages of outside systems."""

    def __init__(self, bodies: Bodies, payments: Payments) -> None:
        self._bodies = bodies
        self._payments = payments

    def routes(self) -> Iterable[web.RouteDef]:
        return [web.post(PAYMENTS, self._deliver)]

    async def _deliver(self, request: web.Request) -> web.Response:
        """Answers 200 once the message is stored; what is not, the provider sends again."""
        body = await self._bodies.read(request, media_type="application/json")
        await self._payments.deliver_webhook(body, request.headers.get(SIGNATURE, ""))
        return web.Response()
