"""The life of intents and refunds over HTTP: every state, every refusal, and the events that they leave."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from deploy.local.payment_sim.machine import Delays
from deploy.local.payment_sim.testing import SimulatorHandle
from tests.payment_sim.client import Api

UNEXPECTED = (400, "payment_intent_unexpected_state")


async def eventually(api: Api, intent: str, status: str) -> None:
    async with asyncio.timeout(5):
        while await api.status(intent) != status:  # noqa: ASYNC110 (only the API tells)
            await asyncio.sleep(0.01)


async def test_an_intent_is_confirmed_step_by_step(api: Api) -> None:
    intent = await api.create()
    assert intent.document["status"] == "requires_payment_method"
    assert (await api.move(intent.id, "confirm")).code == "payment_intent_unexpected_state"
    confirmed = await api.move(intent.id, "confirm", payment_method="pm_card_visa")

    assert (confirmed.document["status"], confirmed.document["amount_received"]) == ("succeeded", 70_000)
    assert await api.events(intent.id) == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]


async def test_an_intent_with_a_card_waits_for_confirmation(api: Api) -> None:
    intent = await api.create(payment_method="pm_card_visa")

    assert intent.document["status"] == "requires_confirmation"
    assert (await api.move(intent.id, "confirm")).document["status"] == "succeeded"


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"),
    ],
)
async def test_a_declined_card_leaves_the_intent_for_another(api: Api, card: str, code: str, decline_code: str) -> None:
    declined = await api.paid(card)
    error = declined.document["error"]
    shown: dict[str, Any] = error["payment_intent"]

    assert (declined.status, error["type"], error["code"], error["decline_code"]) == (402, "card_error", code, decline_code)
    assert (shown["status"], shown["last_payment_error"]["code"], shown["latest_charge"]) == (
        "requires_payment_method",
        code,
        error["charge"],
    )
    assert await api.events(shown["id"]) == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]
    again = await api.move(shown["id"], "confirm", payment_method="pm_card_visa")
    assert (again.document["status"], again.document["last_payment_error"]) == ("succeeded", None)


async def test_without_an_address_to_return_to_the_redirect_is_left_to_the_providers_library(api: Api) -> None:
    asked = await api.paid("pm_card_threeDSecure2Required")
    back = await api.paid("pm_card_threeDSecure2Required", return_url="https://shop.example/paid")

    assert asked.document["status"] == "requires_action"
    assert asked.document["next_action"]["type"] == "use_stripe_sdk"
    assert back.document["next_action"]["redirect_to_url"]["return_url"] == "https://shop.example/paid"


@pytest.mark.parametrize(("card", "outcome", "status"), [("pm_card_threeDSecure2Required", "succeed", "succeeded")])
async def test_a_payer_completes_what_is_asked_on_the_page(
    api: Api, http: aiohttp.ClientSession, card: str, outcome: str, status: str
) -> None:
    asked = await api.paid(card, return_url="https://shop.example/paid?order=1")
    page = asked.document["next_action"]["redirect_to_url"]["url"]
    async with http.get(page) as shown:
        assert 'name="outcome"' in await shown.text()
    async with http.post(page, data={"outcome": outcome}, allow_redirects=False) as answered:
        assert answered.status == 303
        assert answered.headers["Location"].startswith(f"https://shop.example/paid?order=1&payment_intent={asked.id}&")

    assert await api.status(asked.id) == status


async def test_a_payer_who_does_not_pass_can_use_another_card_on_the_page(api: Api, http: aiohttp.ClientSession) -> None:
    intent = await api.create()
    page, plain = f"{api.url}/pay/{intent.document['client_secret']}", {"Accept": "application/json"}
    async with http.post(page, data={"payment_method": "pm_card_threeDSecure2Required"}, headers=plain) as asked:
        assert (await asked.json())["status"] == "requires_action"
    async with http.post(page, data={"outcome": "fail"}, headers=plain) as failed:
        assert (failed.status, (await failed.json())["error"]["code"]) == (400, "payment_intent_authentication_failure")
    async with http.post(page, data={"payment_method": "pm_card_visa"}, headers=plain) as paid:
        assert (await paid.json())["status"] == "succeeded"

    assert "payment_intent.payment_failed" in await api.events(intent.id)


async def test_a_page_needs_the_whole_secret(api: Api, http: aiohttp.ClientSession) -> None:
    intent = await api.create()
    for secret in (intent.id, f"{intent.id}_secret_guessed", "x"):
        async with http.post(f"{api.url}/pay/{secret}", data={"payment_method": "pm_card_visa"}) as answer:
            assert answer.status == 404


@pytest.mark.parametrize(("card", "end"), [("pm_card_processing", "succeeded"), ("pm_card_processingDeclined", "requires_payment_method")])
async def test_a_charge_that_takes_a_while_ends_by_itself(api: Api, card: str, end: str) -> None:
    intent = await api.paid(card)
    assert intent.document["status"] == "processing"
    assert ((refused := await api.move(intent.id, "cancel")).status, refused.code) == UNEXPECTED
    await eventually(api, intent.id, end)

    last = "payment_intent.succeeded" if end == "succeeded" else "payment_intent.payment_failed"
    assert (await api.events(intent.id))[-1] == last


async def test_a_part_of_held_money_is_captured_and_the_rest_let_go(api: Api) -> None:
    held = await api.held()
    assert (held.document["status"], held.document["amount_capturable"]) == ("requires_capture", 70_000)
    too_much = await api.move(held.id, "capture", amount_to_capture="70001")
    captured = await api.move(held.id, "capture", amount_to_capture="60000")

    assert too_much.code == "amount_too_large"
    assert [captured.document[name] for name in ("status", "amount_received", "amount_capturable")] == ["succeeded", 60_000, 0]
    assert ((again := await api.move(held.id, "capture")).status, again.code) == UNEXPECTED
    assert await api.events(held.id) == [
        *("payment_intent.created", "charge.succeeded", "payment_intent.amount_capturable_updated"),
        *("charge.captured", "payment_intent.succeeded"),
    ]


async def test_money_that_is_held_too_long_is_let_go(api: Api, simulator: SimulatorHandle) -> None:
    simulator.behave(delays=Delays(hold_s=0.1))
    held = await api.held()
    await eventually(api, held.id, "canceled")

    assert ((refused := await api.move(held.id, "capture")).status, refused.code) == UNEXPECTED
    assert (await api.get(f"/v1/payment_intents/{held.id}")).document["cancellation_reason"] == "automatic"


@pytest.mark.parametrize("card", ["", "pm_card_threeDSecure2Required", "manual"])
async def test_what_is_not_paid_can_be_cancelled_once(api: Api, card: str) -> None:
    intent = await (api.held() if card == "manual" else api.paid(card) if card else api.create())
    cancelled = await api.move(intent.id, "cancel", cancellation_reason="abandoned")

    assert (cancelled.document["status"], cancelled.document["cancellation_reason"]) == ("canceled", "abandoned")
    assert ((again := await api.move(intent.id, "cancel")).status, again.code) == UNEXPECTED
    assert (await api.events(intent.id))[-1] == "payment_intent.canceled"


async def test_what_is_paid_is_not_cancelled_and_the_refusal_shows_it(api: Api) -> None:
    paid = await api.paid()
    refused = await api.move(paid.id, "cancel")

    assert (refused.status, refused.code) == UNEXPECTED
    assert refused.document["error"]["payment_intent"]["status"] == "succeeded"


async def test_refunds_never_exceed_what_was_captured(api: Api, simulator: SimulatorHandle) -> None:
    paid = await api.paid()
    first = await api.refund(paid.id, amount="20000", **{"metadata[refund_id]": "r1"})
    assert (await api.refund(paid.id, amount="50001")).status == 400
    rest = await api.refund(paid.id)
    over = await api.refund(paid.id)

    assert (first.document["status"], first.document["metadata"]) == ("succeeded", {"refund_id": "r1"})
    assert rest.document["amount"] == 50_000
    assert over.code == "charge_already_refunded"
    listed = (await api.get(f"/v1/refunds?payment_intent={paid.id}")).document["data"]
    assert [refund["id"] for refund in listed] == [rest.id, first.id]
    assert simulator.money()["totals"]["rub"] == {"captured": 70_000, "refunded": 70_000, "held": 0}


@pytest.mark.parametrize(
    ("card", "begins", "ends", "left"),
    [
        ("pm_card_pendingRefund", "pending", "succeeded", 70_000),
        ("pm_card_pendingRefundFail", "pending", "failed", 0),
        ("pm_card_refundFail", "succeeded", "failed", 0),
    ],
)
async def test_a_refund_can_end_otherwise_than_it_began(
    api: Api, simulator: SimulatorHandle, card: str, begins: str, ends: str, left: int
) -> None:
    paid = await api.paid(card)
    refund = await api.refund(paid.id)
    assert refund.document["status"] == begins
    async with asyncio.timeout(5):
        while (shown := (await api.get(f"/v1/refunds/{refund.id}")).document)["status"] != ends:  # noqa: ASYNC110 (only the API tells)
            await asyncio.sleep(0.01)

    assert shown.get("failure_reason") == ("expired_or_canceled_card" if ends == "failed" else None)
    assert simulator.money()["totals"]["rub"]["refunded"] == left
    assert ("refund.failed" in await api.events(paid.id)) is (ends == "failed")


async def test_an_unpaid_intent_has_nothing_to_refund(api: Api) -> None:
    assert (await api.refund((await api.held()).id)).status == 400


async def test_the_payers_key_confirms_with_the_secret_and_does_nothing_else(api: Api) -> None:
    intent = await api.create()
    public, secret = {"Authorization": "Bearer pk_test_1"}, intent.document["client_secret"]
    card = {"payment_method": "pm_card_visa"}
    path = f"/v1/payment_intents/{intent.id}/confirm"

    assert (await api.post(path, card, **public)).status == 404
    assert (await api.post(f"/v1/payment_intents/{intent.id}/cancel", {}, **public)).status == 401
    assert (await api.post(path, card | {"client_secret": secret}, **public)).document["status"] == "succeeded"
