"""Idempotency keys: what is kept under them, what is not, and who gets what is kept. In memory and in PostgreSQL."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from deploy.local.payment_sim.faults import Fault, FaultKind, Operation
from deploy.local.payment_sim.testing import SimulatorHandle
from tests.payment_sim.client import Api


@pytest.fixture
def stored(any_simulator: SimulatorHandle, http: aiohttp.ClientSession) -> Api:
    return Api(any_simulator.url, http)


async def test_a_repeated_request_gets_the_first_answer_and_does_nothing(stored: Api, any_simulator: SimulatorHandle) -> None:
    first = await stored.create(key="k")
    again = await stored.create(key="k")

    assert again.document == first.document
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Original-Request"] == first.headers["Request-Id"]
    assert "Idempotent-Replayed" not in first.headers
    assert len(any_simulator.intents()) == 1


async def test_an_answer_is_kept_as_it_was_whatever_became_of_the_intent(stored: Api) -> None:
    first = await stored.create(key="k")
    await stored.move(first.id, "confirm", payment_method="pm_card_visa")

    assert (await stored.create(key="k")).document["status"] == "requires_payment_method"


async def test_a_decline_and_a_refusal_by_state_are_kept(stored: Api, any_simulator: SimulatorHandle) -> None:
    declined = await stored.create(key="k", confirm="true", payment_method="pm_card_chargeDeclined")
    again = await stored.create(key="k", confirm="true", payment_method="pm_card_chargeDeclined")
    assert (again.status, again.document) == (402, declined.document)
    assert len(any_simulator.intents()) == 1

    held = await stored.create(capture_method="manual")
    assert (await stored.move(held.id, "capture", key="c")).status == 400
    await stored.move(held.id, "confirm", payment_method="pm_card_visa")
    kept = await stored.move(held.id, "capture", key="c")
    assert (kept.status, kept.headers["Idempotent-Replayed"]) == (400, "true")
    assert (await stored.move(held.id, "capture", key="d")).status == 200


@pytest.mark.parametrize("after", [False, True])
async def test_a_500_is_kept_for_good_whether_or_not_anything_happened(stored: Api, any_simulator: SimulatorHandle, after: bool) -> None:
    any_simulator.set_faults(Fault(FaultKind.INTERNAL_ERROR, Operation.CREATE, times=1, after=after))
    first, again = await stored.create(key="k"), await stored.create(key="k")

    assert (first.status, again.status, again.document) == (500, 500, first.document)
    assert (first.headers["Stripe-Should-Retry"], again.headers["Idempotent-Replayed"]) == ("false", "true")
    assert len(any_simulator.intents()) == (1 if after else 0)
    assert (await stored.create(key="another")).status == 200


async def test_the_same_key_for_other_parameters_or_another_endpoint_is_refused(stored: Api, any_simulator: SimulatorHandle) -> None:
    first = await stored.create(key="k")

    for other in (await stored.create(key="k", amount="1"), await stored.move(first.id, "cancel", key="k")):
        assert (other.status, other.code) == (400, "idempotency_error")
    assert [intent["status"] for intent in any_simulator.intents()] == ["requires_payment_method"]
    assert (await stored.create(key="k")).document == first.document


async def test_the_order_of_parameters_makes_no_difference(stored: Api) -> None:
    first = await stored.post("/v1/payment_intents", "amount=5&currency=rub&metadata[a]=1&metadata[b]=2", key="k")
    again = await stored.post("/v1/payment_intents", "metadata%5Bb%5D=2&metadata[a]=1&currency=rub&amount=5", key="k")

    assert (first.status, again.document) == (200, first.document)


async def test_a_request_with_a_fault_of_its_own_is_not_kept(stored: Api) -> None:
    assert (await stored.create(key="k", amount="much")).status == 400
    assert (await stored.create(key="k")).status == 200


async def test_a_key_that_is_being_worked_on_is_in_use(stored: Api, any_simulator: SimulatorHandle) -> None:
    any_simulator.set_faults(Fault(FaultKind.SLOW, Operation.CREATE, times=1, delay_s=0.3))
    slow = asyncio.create_task(stored.create(key="k"))
    async with asyncio.timeout(5):
        while not any_simulator.arrivals(Operation.CREATE) or any_simulator.faults[0].fired == 0:  # noqa: ASYNC110 (another server tells)
            await asyncio.sleep(0.01)
    clash = await stored.create(key="k")

    assert (clash.status, clash.code, clash.headers["Stripe-Should-Retry"]) == (409, "idempotency_key_in_use", "true")
    first = await slow
    assert (await stored.create(key="k")).document == first.document
    assert len(any_simulator.intents()) == 1


async def test_many_at_once_under_one_key_make_one_intent(stored: Api, any_simulator: SimulatorHandle) -> None:
    replies = await asyncio.gather(*(stored.create(key="k", confirm="true", payment_method="pm_card_visa") for _ in range(20)))

    assert {reply.status for reply in replies} <= {200, 409}
    assert len({reply.id for reply in replies if reply.status == 200}) == 1
    assert any_simulator.money()["totals"]["rub"]["captured"] == 70_000


async def test_a_lost_answer_is_there_when_it_is_asked_for_again(stored: Api, any_simulator: SimulatorHandle) -> None:
    any_simulator.set_faults(Fault(FaultKind.DROP, Operation.REFUND, times=1, after=True))
    paid = await stored.paid()
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await stored.refund(paid.id, key="r", amount="100")

    assert (await stored.refund(paid.id, key="r", amount="100")).headers["Idempotent-Replayed"] == "true"
    assert any_simulator.money()["totals"]["rub"]["refunded"] == 100
