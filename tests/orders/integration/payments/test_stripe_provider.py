"""The adapter against the simulated provider, over HTTP: what is told of each outcome, and what is asked again."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from deploy.local.payment_sim.chaos import ChaosSettings
from deploy.local.payment_sim.faults import Fault, FaultKind, Operation
from deploy.local.payment_sim.machine import Delays
from deploy.local.payment_sim.simulator import Behaviour
from deploy.local.payment_sim.testing import API_KEY, SimulatorHandle, running_simulator
from services.orders.adapters.http.stripe.provider import StripeLimits, StripeProvider
from services.orders.adapters.http.stripe.webhooks import StripeWebhooks
from services.orders.application.payments.ports import Intent, KeySpent, OutcomeUnknown, ProviderRejected, RefundStanding
from services.orders.domain.payments.facts import FactKind, fold
from services.orders.domain.payments.model import Card, Method, Payment, Refund, Wish
from shared.clock import SystemClock

VISA, NO_FUNDS, ASKS = "pm_card_visa", "pm_card_chargeDeclinedInsufficientFunds", "pm_card_threeDSecure2Required"
ONCE = StripeLimits(tries=1)
SHOP = "https://shop.example/paid"


def client(simulator: SimulatorHandle, limits: StripeLimits = ONCE, key: str = API_KEY) -> StripeProvider:
    return StripeProvider(simulator.url, key, SHOP, limits, SystemClock())


@pytest.fixture
async def simulator() -> AsyncIterator[SimulatorHandle]:
    async with running_simulator() as handle:
        yield handle


@pytest.fixture
async def provider(simulator: SimulatorHandle) -> AsyncIterator[StripeProvider]:
    """Sends each request once, so that a test sees what each answer means."""
    async with client(simulator).opened() as opened:
        yield opened


def payment(*, card: str = "", manual: bool = False, card_minor: int = 70_000) -> Payment:
    now = datetime.now(UTC)
    return Payment(
        id=uuid.uuid4(),
        order_id=uuid.uuid4(),
        customer_id="alice",
        order_number="4561261212345467",
        method=Method.CARD,
        currency="RUB",
        card_minor=card_minor,
        points_minor=0,
        manual_capture=manual,
        created_at=now - timedelta(seconds=1),
        updated_at=now,
        card=card,
    )


def refund(of: Payment, minor: int) -> Refund:
    return Refund(uuid.uuid4(), of.id, of.order_id, of.customer_id, of.currency, minor, 0, (minor, of.total_minor), "", datetime.now(UTC))


def standing(of: Payment, *intents: Intent) -> Card:
    """How the card stands by all that was told; nothing may fit badly."""
    folded = fold(of, [fact for intent in intents for fact in intent.facts])
    assert folded.mismatch == ""
    return folded.card


async def made(provider: StripeProvider, **wanted: object) -> tuple[Payment, Intent]:
    new = payment(**wanted)  # type: ignore[arg-type]
    intent = await provider.create_intent(new)
    return replace(new, intent=intent.reference), intent


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


async def test_an_error_kept_under_the_key_is_found_out_and_nothing_came_of_it(
    provider: StripeProvider, simulator: SimulatorHandle
) -> None:
    simulator.set_faults(Fault(FaultKind.INTERNAL_ERROR, Operation.CREATE, times=1))
    new = payment(card=VISA)
    with pytest.raises(OutcomeUnknown, match="500") as first:
        await provider.create_intent(new)
    assert not isinstance(first.value, KeySpent)
    with pytest.raises(KeySpent):
        await provider.create_intent(new)

    assert await provider.find_intent(new) is None
    assert standing(new, await provider.create_intent(replace(new, attempt=2))) is Card.CAPTURED
    assert len(simulator.intents(payment_id=str(new.id))) == 1


async def test_an_error_kept_under_the_key_after_the_charge_leads_to_the_intent(
    provider: StripeProvider, simulator: SimulatorHandle
) -> None:
    simulator.set_faults(Fault(FaultKind.INTERNAL_ERROR, Operation.CREATE, times=1, after=True))
    new = payment(card=VISA)
    with pytest.raises(OutcomeUnknown):
        await provider.create_intent(new)
    with pytest.raises(KeySpent):
        await provider.create_intent(new)

    found = await provider.find_intent(new)
    assert found is not None
    assert standing(new, found) is Card.CAPTURED


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.UNAVAILABLE, FaultKind.BAD_JSON])
@pytest.mark.parametrize("after", [False, True])
async def test_a_lost_answer_is_unknown_and_asking_again_charges_once(
    provider: StripeProvider, simulator: SimulatorHandle, kind: FaultKind, after: bool
) -> None:
    simulator.set_faults(Fault(kind, Operation.CREATE, times=1, after=after))
    new = payment(card=VISA)
    with pytest.raises(OutcomeUnknown):
        await provider.create_intent(new)

    assert standing(new, await provider.create_intent(new)) is Card.CAPTURED
    assert simulator.money()["totals"] == {"rub": {"captured": 70_000, "refunded": 0, "held": 0}}
    assert simulator.arrivals(Operation.CREATE)[-1].replayed is after


async def test_a_provider_that_is_slow_is_unknown_and_the_key_in_use_is_too(simulator: SimulatorHandle) -> None:
    simulator.set_faults(Fault(FaultKind.SLOW, Operation.CREATE, times=1, delay_s=1.0))
    new = payment(card=VISA)
    async with client(simulator, StripeLimits(total_s=0.2, tries=1)).opened() as hasty:
        with pytest.raises(OutcomeUnknown, match="no answer"):
            await hasty.create_intent(new)
        with pytest.raises(OutcomeUnknown, match="idempotency_key_in_use"):
            await hasty.create_intent(new)
    async with client(simulator, StripeLimits(tries=4)).opened() as patient:
        assert standing(new, await patient.create_intent(new)) is Card.CAPTURED

    assert [arrival.status for arrival in simulator.arrivals(Operation.CREATE)][-1] == 200
    assert len(simulator.intents()) == 1


async def test_a_throttled_request_says_for_how_long(provider: StripeProvider, simulator: SimulatorHandle) -> None:
    simulator.set_faults(Fault(FaultKind.RATE_LIMIT, Operation.CREATE, times=1, retry_after_s=7))
    new = payment(card=VISA)
    with pytest.raises(OutcomeUnknown) as silence:
        await provider.create_intent(new)

    assert silence.value.retry_after_s == 7
    assert standing(new, await provider.create_intent(new)) is Card.CAPTURED


async def test_what_the_provider_advises_to_repeat_is_repeated_and_what_not_is_not(simulator: SimulatorHandle) -> None:
    async with client(simulator, StripeLimits(tries=2)).opened() as provider:
        simulator.set_faults(Fault(FaultKind.LOCK_TIMEOUT, Operation.CREATE, times=1))
        await provider.create_intent(payment())
        assert [arrival.status for arrival in simulator.arrivals()] == [429, 200]
        simulator.set_faults(Fault(FaultKind.INTERNAL_ERROR, Operation.CREATE, times=1))
        with pytest.raises(OutcomeUnknown):
            await provider.create_intent(payment())
        assert [arrival.status for arrival in simulator.arrivals()] == [429, 200, 500]


async def test_a_key_that_was_used_for_something_else_is_spent_and_what_came_of_that_is_to_be_looked_up(provider: StripeProvider) -> None:
    """As when our return address was another then: the card may have been charged."""
    new, made_before = await made(provider)

    with pytest.raises(KeySpent):
        await provider.create_intent(replace(new, card_minor=1))
    found = await provider.find_intent(new)
    assert found is not None
    assert found.reference == made_before.reference


async def test_an_intent_is_found_though_the_providers_clock_is_behind_ours(provider: StripeProvider) -> None:
    new, made_before = await made(provider)

    found = await provider.find_intent(replace(new, created_at=new.created_at + timedelta(minutes=5)))

    assert found is not None
    assert found.reference == made_before.reference


async def test_what_was_asked_for_a_day_ago_is_looked_for_before_it_is_asked_for_again(provider: StripeProvider) -> None:
    """The provider may have forgotten the key by then; here it is another one."""
    new, made_before = await made(provider, card=VISA)
    old = replace(new, created_at=new.created_at - timedelta(days=1), attempt=2)
    assert (await provider.create_intent(old)).reference == made_before.reference

    wanted = refund(new, 100)
    given = await provider.refund(wanted, new)
    late = replace(wanted, created_at=wanted.created_at - timedelta(days=1), attempt=2)
    assert (await provider.refund(late, new)).reference == given.reference


async def test_an_intent_of_a_payment_that_was_given_up_is_found_or_made_without_charging(
    provider: StripeProvider, simulator: SimulatorHandle
) -> None:
    never_heard = replace(payment(card=VISA), wish=Wish.GIVE_UP)
    assert standing(never_heard, await provider.create_intent(never_heard)) is Card.OPEN

    heard, before = await made(provider, card=VISA)
    with pytest.raises(KeySpent):
        await provider.create_intent(replace(heard, wish=Wish.GIVE_UP))
    assert len(simulator.intents(payment_id=str(heard.id))) == 1
    assert standing(heard, before) is Card.CAPTURED


async def test_a_list_that_is_not_read_to_its_end_proves_nothing(provider: StripeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or an intent beyond it would be taken for one that never was, and made a second time."""
    new, _ = await made(provider)
    for _ in range(3):
        await made(provider)
    monkeypatch.setattr("services.orders.adapters.http.stripe.provider.PAGE", 1)
    monkeypatch.setattr("services.orders.adapters.http.stripe.provider.PAGES_MAX", 2)

    with pytest.raises(OutcomeUnknown, match="longer"):
        await provider.find_intent(new)


async def test_a_wrong_api_key_is_for_people_to_mend_so_the_outcome_is_unknown(simulator: SimulatorHandle) -> None:
    async with client(simulator, key="pk_test_wrong").opened() as provider:
        with pytest.raises(OutcomeUnknown, match="401"):
            await provider.create_intent(payment())


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


async def test_events_are_listed_oldest_first_over_many_pages(provider: StripeProvider, simulator: SimulatorHandle) -> None:
    since = datetime.now(UTC) - timedelta(seconds=1)
    for _ in range(45):
        await made(provider, card=VISA)
    listed = [event async for _, event in provider.list_events(since)]

    assert [event.id for event in listed] == [event.id for event in simulator.events()]
    assert len(listed) == 135
    assert [event.kind for event in listed[:3]] == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]
    assert [event async for _, event in provider.list_events(datetime.now(UTC) + timedelta(seconds=60))] == []


async def test_listed_events_are_bytes_that_can_be_kept_like_webhooks(provider: StripeProvider) -> None:
    new, _ = await made(provider, card=VISA)
    listed = [pair async for pair in provider.list_events(new.created_at)]

    webhooks = StripeWebhooks(["whsec"], SystemClock())
    assert [webhooks.read_stored(body) for body, _ in listed] == [event for _, event in listed]
    assert {event.payment_id for _, event in listed if event.intent} == {str(new.id)}


async def driven(provider: StripeProvider, new: Payment) -> Card:
    """Asks again and looks, as the saga does, until it is known how the payment ended."""
    card = Card.ASKED
    async with asyncio.timeout(30):
        while card not in (Card.CAPTURED, Card.DECLINED):
            try:
                new, card = await one_step(provider, new)
            except OutcomeUnknown:
                continue
    return card


async def one_step(provider: StripeProvider, new: Payment) -> tuple[Payment, Card]:
    """Raises OutcomeUnknown."""
    try:
        intent = await (provider.get_intent(new) if new.intent else provider.create_intent(new))
    except KeySpent:
        found = await provider.find_intent(new)
        if found is None:
            return replace(new, attempt=new.attempt + 1), Card.ASKED
        intent = found
    return replace(new, intent=intent.reference), standing(new, intent)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_whatever_happens_by_chance_nobody_is_charged_twice(seed: int) -> None:
    behaviour = Behaviour(Delays(processing_s=0.05), chaos=ChaosSettings(seed, 0.5))
    async with (
        running_simulator(behaviour=behaviour) as simulator,
        client(simulator, StripeLimits(total_s=1.0, tries=1)).opened() as provider,
    ):
        payments = [payment(card=VISA) for _ in range(12)]
        cards = await asyncio.gather(*(driven(provider, new) for new in payments))

        captured = {line["metadata"]["payment_id"]: line["captured"] for line in simulator.money()["payment_intents"]}
        assert len(simulator.intents()) == len(captured) == len(payments)
        assert [captured[str(new.id)] for new in payments] == [70_000 if card is Card.CAPTURED else 0 for card in cards]
        assert len({arrival.fault for arrival in simulator.arrivals()}) > 5
