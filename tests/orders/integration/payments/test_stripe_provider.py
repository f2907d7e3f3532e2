"""The adapter against the simulated provider, over HTTP: what is told of each outcome."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from deploy.local.payment_sim.faults import Fault, FaultKind, Operation
from deploy.local.payment_sim.machine import Delays
from deploy.local.payment_sim.testing import SimulatorHandle
from services.orders.adapters.http.stripe.provider import StripeProvider
from services.orders.adapters.http.stripe.webhooks import StripeWebhooks
from services.orders.application.payments.ports import KeySpent, ProviderRejected, RefundStanding
from services.orders.domain.payments.facts import FactKind, fold
from services.orders.domain.payments.model import Card
from shared.clock import SystemClock
from tests.orders.card_payments import ASKS, NO_FUNDS, VISA, made, refund, standing


async def test_an_intent_without_a_card_waits_for_its_payer(provider: StripeProvider, simulator: SimulatorHandle) -> None:
    new, intent = await made(provider)

    assert standing(new, intent) is Card.OPEN
    assert intent.payment_id == str(new.id)
    assert intent.client_secret.startswith(f"{intent.reference}_secret_")
    [shown] = simulator.intents(payment_id=str(new.id), order_id=str(new.order_id), order_number=new.order_number)
    assert (shown["amount"], shown["currency"], shown["capture_method"]) == (70_000, "rub", "automatic")

    assert (await simulator.confirm(intent.reference)).status == 200
    looked = await provider.get_intent(new)
    assert standing(new, intent, looked) is Card.CAPTURED


async def test_a_card_that_is_good_is_charged_at_once(provider: StripeProvider) -> None:
    new, intent = await made(provider, card=VISA)

    [fact] = intent.facts
    assert (fact.kind, fact.amount_minor, fact.currency) == (FactKind.CAPTURED, 70_000, "RUB")
    assert standing(new, intent) is Card.CAPTURED


async def test_a_decline_is_a_fact_with_the_reason_and_not_an_error(provider: StripeProvider) -> None:
    new, intent = await made(provider, card=NO_FUNDS)

    [fact] = intent.facts
    assert (fact.kind, fact.detail) == (FactKind.DECLINED, "insufficient_funds")
    looked = await provider.get_intent(new)
    assert looked.facts[0].reference == fact.reference
    assert standing(new, intent, looked) is Card.DECLINED


async def test_a_payer_who_was_declined_can_use_another_card(provider: StripeProvider, simulator: SimulatorHandle) -> None:
    new, intent = await made(provider)
    assert (await simulator.confirm(intent.reference, NO_FUNDS)).status == 402
    declined = await provider.get_intent(new)
    await simulator.confirm(intent.reference, VISA)
    paid = await provider.get_intent(new)

    assert standing(new, intent, declined) is Card.DECLINED
    assert standing(new, paid, declined, intent) is Card.CAPTURED


async def test_a_card_whose_owner_is_asked_first_requires_action(provider: StripeProvider, simulator: SimulatorHandle) -> None:
    new, intent = await made(provider, card=ASKS)
    assert standing(new, intent) is Card.ACTION_REQUIRED

    await simulator.complete_action(intent.reference)
    assert standing(new, intent, await provider.get_intent(new)) is Card.CAPTURED


async def test_an_owner_who_is_asked_is_sent_to_a_page_of_the_provider(provider: StripeProvider, simulator: SimulatorHandle) -> None:
    _, intent = await made(provider, card=ASKS)

    assert intent.redirect_url == f"{simulator.url}/pay/{intent.client_secret}"
    assert intent.facts[0].detail == ""


async def test_a_charge_that_takes_a_while_is_processing_until_it_is_done(provider: StripeProvider, simulator: SimulatorHandle) -> None:
    simulator.behave(delays=Delays(processing_s=3600))
    new, intent = await made(provider, card="pm_card_processing")

    assert standing(new, intent) is Card.PROCESSING


async def test_held_money_is_captured_and_told_of_twice(provider: StripeProvider, simulator: SimulatorHandle) -> None:
    new, held = await made(provider, card=VISA, manual=True)
    captured = await provider.capture(new)
    again = await provider.capture(new)

    assert standing(new, held) is Card.AUTHORIZED
    assert standing(new, held, captured, again) is Card.CAPTURED
    assert simulator.money()["totals"] == {"rub": {"captured": 70_000, "refunded": 0, "held": 0}}


async def test_a_hold_that_lapses_is_cancelled_and_can_not_be_captured(provider: StripeProvider, simulator: SimulatorHandle) -> None:
    simulator.behave(delays=Delays(hold_s=0.0))
    new, held = await made(provider, card=VISA, manual=True)
    lapsed = await provider.capture(new)

    assert standing(new, held, lapsed) is Card.CANCELLED
    assert simulator.money()["totals"]["rub"]["captured"] == 0


async def test_less_captured_than_wanted_does_not_fit_the_payment(provider: StripeProvider, simulator: SimulatorHandle) -> None:
    simulator.set_faults(Fault(FaultKind.CAPTURE_LESS, Operation.CAPTURE))
    new, held = await made(provider, card=VISA, manual=True)
    captured = await provider.capture(new)

    assert fold(new, held.facts + captured.facts).mismatch == "69999 captured, not 70000"


async def test_an_intent_is_cancelled(provider: StripeProvider) -> None:
    new, intent = await made(provider)
    cancelled = await provider.cancel(new)

    assert standing(new, intent, cancelled) is Card.CANCELLED
    assert cancelled.facts[0].detail == "abandoned"


async def test_whoever_cancels_what_is_paid_is_told_that_it_is_paid(provider: StripeProvider) -> None:
    new, _ = await made(provider, card=VISA)

    assert standing(new, await provider.cancel(new)) is Card.CAPTURED


async def test_a_refusal_to_cancel_that_was_true_only_then_does_not_stand_for_ever(
    provider: StripeProvider, simulator: SimulatorHandle
) -> None:
    """The provider keeps refusals by state under the key: asked again, it repeats them when the state has long changed."""
    new, _ = await made(provider, card="pm_card_processingDeclined")
    assert standing(new, await provider.cancel(new)) is Card.PROCESSING
    async with asyncio.timeout(5):
        while standing(new, await provider.get_intent(new)) is Card.PROCESSING:
            continue
    with pytest.raises(KeySpent):
        await provider.cancel(new)

    assert standing(new, await provider.cancel(replace(new, attempt=2))) is Card.CANCELLED
    assert simulator.money()["totals"]["rub"]["captured"] == 0


async def test_a_refund_is_made_once_per_key_and_found_by_its_own_id(provider: StripeProvider, simulator: SimulatorHandle) -> None:
    paid, _ = await made(provider, card=VISA)
    first, second = refund(paid, 20_000), refund(paid, 5_000)
    done = await provider.refund(first, paid)
    assert (await provider.refund(first, paid)).reference == done.reference
    await provider.refund(second, paid)

    assert done.standing is RefundStanding.SUCCEEDED
    assert await provider.find_refund(first, paid) == done
    assert await provider.find_refund(refund(paid, 1), paid) is None
    assert await provider.get_refund(replace(first, provider_reference=done.reference)) == done
    assert await provider.refunded_minor(paid) == 25_000
    assert simulator.money()["totals"]["rub"]["refunded"] == 25_000


async def test_more_than_was_paid_is_not_given_back(provider: StripeProvider) -> None:
    paid, _ = await made(provider, card=VISA)

    with pytest.raises(ProviderRejected):
        await provider.refund(refund(paid, 70_001), paid)
    assert await provider.refunded_minor(paid) == 0


async def test_a_refund_that_waits_and_then_fails_gives_nothing_back(provider: StripeProvider, simulator: SimulatorHandle) -> None:
    simulator.behave(delays=Delays(refund_s=0.2))
    paid, _ = await made(provider, card="pm_card_pendingRefundFail")
    wanted = refund(paid, 20_000)
    pending = await provider.refund(wanted, paid)
    simulator.behave(delays=Delays(refund_s=0.0))
    wanted = replace(wanted, provider_reference=pending.reference)
    while (ended := await provider.get_refund(wanted)).standing is RefundStanding.PENDING:
        continue

    assert pending.standing is RefundStanding.PENDING
    assert (ended.standing, ended.failure) == (RefundStanding.FAILED, "expired_or_canceled_card")
    assert await provider.refunded_minor(paid) == 0


async def test_events_are_listed_newest_first_page_by_page(provider: StripeProvider, simulator: SimulatorHandle) -> None:
    since = datetime.now(UTC) - timedelta(seconds=1)
    for _ in range(45):
        await made(provider, card=VISA)
    pages = [page async for page in provider.list_events(since)]
    listed = [event for page in pages for _, event in page]

    assert [event.id for event in reversed(listed)] == [event.id for event in simulator.events()]
    assert [len(page) for page in pages] == [100, 35]
    assert [event.kind for event in listed[-3:]] == ["payment_intent.succeeded", "charge.succeeded", "payment_intent.created"]
    assert [page async for page in provider.list_events(datetime.now(UTC) + timedelta(seconds=60))] == [[]]


async def test_listed_events_are_bytes_that_can_be_kept_like_webhooks(provider: StripeProvider) -> None:
    new, _ = await made(provider, card=VISA)
    listed = [pair async for page in provider.list_events(new.created_at) for pair in page]

    webhooks = StripeWebhooks(["whsec"], SystemClock())
    assert [webhooks.read_stored(body) for body, _ in listed] == [event for _, event in listed]
    assert {event.payment_id for _, event in listed if event.intent} == {str(new.id)}
