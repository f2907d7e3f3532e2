"""Calls the API as any client of the provider would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

AUTHORIZATION = "Bearer sk_test_galen"
CARD = {"payment_method_types[]": "card"}


@dataclass(frozen=True)
class Reply:
    """`document` is empty if the body is not a JSON object."""

    status: int
    document: dict[str, Any]
    headers: Mapping[str, str]

    @property
    def id(self) -> str:
        return str(self.document["id"])

    @property
    def code(self) -> str:
        return str(self.document["error"].get("code") or self.document["error"]["type"])


class Api:
    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._http = http

    async def get(self, path: str) -> Reply:
        return await self._send("GET", path, None, {})

    async def post(self, path: str, form: Mapping[str, str] | str | None = None, *, key: str = "", **headers: str) -> Reply:
        return await self._send("POST", path, form, {**({"Idempotency-Key": key} if key else {}), **headers})

    async def create(self, *, key: str = "", **form: str) -> Reply:
        """Makes an intent of 700 roubles; what is given is added or wins."""
        return await self.post("/v1/payment_intents", {"amount": "70000", "currency": "rub", **CARD, **form}, key=key)

    async def paid(self, card: str = "pm_card_visa", **form: str) -> Reply:
        """Makes an intent and charges the card."""
        return await self.create(payment_method=card, confirm="true", **form)

    async def held(self, card: str = "pm_card_visa") -> Reply:
        return await self.paid(card, capture_method="manual")

    async def move(self, intent: str, verb: str, *, key: str = "", **form: str) -> Reply:
        return await self.post(f"/v1/payment_intents/{intent}/{verb}", form, key=key)

    async def status(self, intent: str) -> str:
        return str((await self.get(f"/v1/payment_intents/{intent}")).document["status"])

    async def refund(self, intent: str, *, key: str = "", **form: str) -> Reply:
        return await self.post("/v1/refunds", {"payment_intent": intent, **form}, key=key)

    async def events(self, intent: str) -> list[str]:
        """The types of its events, oldest first."""
        listed = (await self.get("/v1/events?limit=100")).document["data"]
        about = [event for event in listed if intent in (event["data"]["object"]["id"], event["data"]["object"].get("payment_intent"))]
        return [event["type"] for event in reversed(about)]

    async def _send(self, method: str, path: str, form: Mapping[str, str] | str | None, headers: Mapping[str, str]) -> Reply:
        sent = {"Authorization": AUTHORIZATION, **headers}
        if isinstance(form, str):
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        async with self._http.request(method, self.url + path, data=form, headers=sent, allow_redirects=False) as response:
            document = await response.json() if response.content_type == "application/json" else {}
            return Reply(response.status, document, response.headers)
