"""The provider's list of events, of which one may be of a kind that we can't read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.orders.adapters.http.stripe.provider import StripeLimits, StripeProvider
from shared.clock import SystemClock


def event(number: int, status: str) -> dict[str, object]:
    intent = {"id": "pi_1", "status": status, "currency": "eur", "metadata": {"payment_id": "p"}}
    return {"id": f"evt_{number}", "type": "payment_intent.created", "created": 1_700_000_000 + number, "data": {"object": intent}}


@pytest.fixture
async def provider() -> AsyncIterator[StripeProvider]:
    newest_first = [event(3, "requires_payment_method"), event(2, "a_state_of_tomorrow"), event(1, "requires_payment_method")]

    async def listed(_: web.Request) -> web.Response:
        return web.Response(text=json.dumps({"data": newest_first, "has_more": False}))

    application = web.Application()
    application.router.add_get("/v1/events", listed)
    async with TestServer(application) as server:
        address = str(server.make_url("")).rstrip("/")
        async with StripeProvider(address, "sk", "https://shop.example", StripeLimits(tries=1), SystemClock()).opened() as opened:
            yield opened


async def test_an_event_that_cannot_be_read_does_not_hide_the_others(provider: StripeProvider) -> None:
    found = [[read.id for _, read in page] async for page in provider.list_events(datetime.now(UTC))]

    assert found == [["evt_3", "evt_1"]]
