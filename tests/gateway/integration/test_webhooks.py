"""The payment provider's messages go through the edge byte for byte; who sends them is for the orders service to prove."""

from __future__ import annotations

import aiohttp
import grpc
import pytest

from tests.gateway.fakes import FakeServices, PeerFailure, refusal
from tests.gateway.serving import ServedGateway

# Neither key order nor spaces nor a broken surrogate may change on the way: the signature is of bytes.
BODY = b'{ "b":1,\n"a" : "\\ud800 \xc3\xa9" }\n'


async def post(gateway: ServedGateway, body: bytes = BODY, headers: dict[str, str] | None = None) -> tuple[int, str]:
    sent = {"Content-Type": "application/json"} | (headers or {})
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{gateway.url}/webhooks/payments", data=body, headers=sent) as response,
    ):
        return response.status, await response.text()


async def test_a_message_is_forwarded_as_it_came_without_anybodys_token(gateway: ServedGateway, fakes: FakeServices) -> None:
    assert await post(gateway, headers={"Stripe-Signature": "t=1,v1=ab", "Authorization": "Bearer stolen"}) == (200, "")

    (call,) = fakes.called("DeliverWebhook")
    assert (call.request.body, call.request.signature) == (BODY, "t=1,v1=ab")
    assert "authorization" not in call.metadata


async def test_a_message_that_proves_nothing_is_refused_with_400(gateway: ServedGateway, fakes: FakeServices) -> None:
    fakes.fail("DeliverWebhook", refusal("orders.galen", "WEBHOOK_SIGNATURE_INVALID"))

    status, text = await post(gateway)

    assert status == 400
    assert "WEBHOOK_SIGNATURE_INVALID" in text


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL])
async def test_what_could_not_be_stored_is_never_answered_with_success(
    gateway: ServedGateway, fakes: FakeServices, code: grpc.StatusCode
) -> None:
    fakes.fail("DeliverWebhook", PeerFailure(code))

    assert (await post(gateway))[0] >= 500


async def test_only_posts_of_a_bearable_size_are_taken(gateway: ServedGateway, fakes: FakeServices) -> None:
    assert (await post(gateway, b"x" * (65 << 10)))[0] == 413
    async with aiohttp.ClientSession() as session, session.get(f"{gateway.url}/webhooks/payments") as response:
        assert response.status == 405
    assert fakes.called("DeliverWebhook") == []
