"""The adapter against the simulated provider in trouble: no outcome is taken for known that is not, and nobody is charged twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from deploy.local.payment_sim.chaos import ChaosSettings
from deploy.local.payment_sim.faults import Fault, FaultKind, Operation
from deploy.local.payment_sim.machine import Delays
from deploy.local.payment_sim.simulator import Behaviour
from deploy.local.payment_sim.testing import SimulatorHandle, running_simulator
from services.orders.adapters.http.stripe.provider import StripeLimits, StripeProvider
from services.orders.application.payments.ports import KeySpent, OutcomeUnknown
from services.orders.domain.payments.model import Card, Payment, Wish
from tests.orders.card_payments import VISA, client, made, payment, refund, standing


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
