"""Purchases that the orders service registers: told to the provider, then claimed for the customer."""

from __future__ import annotations

import time
from decimal import Decimal
from uuid import uuid4

import grpc
import pytest
from aiohttp import web
from galen.accrual.v1 import claim_pb2
from galen.accrual.v1.accrual_service_pb2_grpc import AccrualServiceStub
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from deploy.local.accrual_sim.arrivals import Arrival
from deploy.local.accrual_sim.faults import Fault, FaultKind, Operation
from deploy.local.accrual_sim.rewards import Good, RewardType
from deploy.local.accrual_sim.testing import SimulatorHandle
from services.accrual.container import AccrualContainer, service_parts
from services.accrual.settings import AccrualSettings
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities
from shared.testing.servers import served
from tests.accrual.world import Customer, World, fresh_number, provider_that_answers

GOODS = ("Kettle Bork", 1459950)


async def test_a_purchase_earns_what_its_goods_earn(world: World, customer: Customer, number: str) -> None:
    await world.simulator.register_reward("Bork", 5, RewardType.PERCENT)

    claim = await world.register(customer, number, GOODS, ("Cup", 100))

    assert (claim.number, claim.state) == (number, claim_pb2.CLAIM_STATE_NEW)
    assert (await customer.finished(number)).accrual == 72998  # 5 % of 14599.50 is 729.975


async def test_a_repeat_has_the_same_answer_and_is_not_sent_again(world: World, customer: Customer, number: str) -> None:
    request_id = str(uuid4())

    first = await world.register(customer, number, GOODS, request_id=request_id)
    await customer.finished(number)
    again = await world.register(customer, number, GOODS, request_id=request_id)

    assert again == first
    assert len(posts(world, number)) == 1


async def test_the_same_request_id_with_other_goods_is_refused(world: World, customer: Customer, number: str) -> None:
    request_id = str(uuid4())
    await world.register(customer, number, GOODS, request_id=request_id)

    refusal = await refusal_of(world.register(customer, number, ("Cup", 100), request_id=request_id))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")


async def test_a_purchase_that_the_provider_knows_already_counts_as_registered(world: World, customer: Customer, number: str) -> None:
    await world.simulator.register_reward("Bork", 10, RewardType.POINTS)
    await world.simulator.register_order(number, Good("Bork", Decimal(1)))

    await world.register(customer, number, GOODS)

    assert (await customer.finished(number)).accrual == 1000


async def test_a_registration_whose_answer_was_lost_can_be_repeated(world: World, customer: Customer, number: str) -> None:
    request_id = str(uuid4())
    world.simulator.set_faults(Fault(FaultKind.DROP, operation=Operation.POST_ORDER, times=1, after=True))

    refusal = await refusal_of(world.register(customer, number, GOODS, request_id=request_id))
    claim = await world.register(customer, number, GOODS, request_id=request_id)

    assert (refusal.code, refusal.retry_after_s) == (grpc.StatusCode.UNAVAILABLE, 2.0)
    assert claim.number == number
    assert [arrival.status for arrival in posts(world, number)] == [0, 409]


async def test_a_number_that_the_customer_uploaded_first_can_be_registered_later(world: World, customer: Customer, number: str) -> None:
    await world.simulator.register_reward("Bork", 10, RewardType.POINTS)
    submitted = (await customer.submit(number)).claim

    registered = await world.register(customer, number, GOODS)

    assert registered.create_time == submitted.create_time
    assert (await customer.finished(number)).accrual == 1000


async def test_a_registration_of_a_number_that_was_uploaded_first_keeps_its_answer_too(
    world: World, customer: Customer, number: str
) -> None:
    request_id = str(uuid4())
    await customer.submit(number)
    first = await world.register(customer, number, GOODS, request_id=request_id)
    await customer.finished(number)

    assert await world.register(customer, number, GOODS, request_id=request_id) == first
    assert len(posts(world, number)) == 1


async def test_goods_are_registered_under_no_number_by_an_id_that_was_used(world: World, customer: Customer, number: str) -> None:
    request_id, free = str(uuid4()), fresh_number()
    await world.register(customer, number, GOODS, request_id=request_id)

    for other in (customer, world.new_customer()):
        assert (await refusal_of(world.register(other, free, GOODS, request_id=request_id))).reason == "REQUEST_ID_REUSED"
    assert posts(world, free) == []


async def test_goods_are_never_registered_under_anothers_number(world: World, customer: Customer, number: str) -> None:
    await world.new_customer().submit(number)

    refusal = await refusal_of(world.register(customer, number, GOODS))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "CLAIMED_BY_ANOTHER")
    assert posts(world, number) == []


async def test_a_purchase_with_a_number_that_fails_the_luhn_check_is_refused(world: World, customer: Customer) -> None:
    assert (await refusal_of(world.register(customer, "79927398710", GOODS))).reason == "ORDER_NUMBER_INVALID"


async def test_while_the_provider_wants_silence_nothing_is_sent_and_the_caller_is_told_for_how_long(
    world: World, customer: Customer, number: str
) -> None:
    world.simulator.set_faults(Fault(FaultKind.TOO_MANY_REQUESTS, operation=Operation.POST_ORDER, times=1, retry_after_s=30))

    throttled = await refusal_of(world.register(customer, number, GOODS))
    began = time.monotonic()
    silenced = await refusal_of(world.register(customer, number, GOODS))

    assert (throttled.code, throttled.retry_after_s) == (grpc.StatusCode.UNAVAILABLE, 30)
    assert silenced.code is grpc.StatusCode.UNAVAILABLE
    assert 25 < (silenced.retry_after_s or 0) <= 30
    assert time.monotonic() - began < 2
    assert len(posts(world, number)) == 1


@pytest.mark.parametrize("kind", [FaultKind.INTERNAL_ERROR, FaultKind.DROP, FaultKind.SLOW])
async def test_a_failing_provider_makes_the_call_unavailable_and_claims_nothing(
    world: World, customer: Customer, number: str, kind: FaultKind
) -> None:
    world.simulator.set_faults(Fault(kind, operation=Operation.POST_ORDER, delay_s=1.5))

    refusal = await refusal_of(world.register(customer, number, GOODS))

    assert (refusal.code, refusal.domain) == (grpc.StatusCode.UNAVAILABLE, "galen")
    assert (await refusal_of(customer.claim(number))).reason == "CLAIM_NOT_FOUND"


async def test_a_purchase_that_the_provider_calls_malformed_is_refused_and_not_claimed(
    accrual_settings: AccrualSettings, balance: BalanceServiceStub, simulator: SimulatorHandle, identities: Identities, number: str
) -> None:
    async with provider_that_answers(web.Response(status=400, text="no")) as url:
        settings = accrual_settings.model_copy(update={"accrual_system_address": url})
        async with served(service_parts(AccrualContainer(settings=settings))) as server:
            world = World(AccrualServiceStub(server.channel), balance, simulator, identities, settings, server)
            customer = world.new_customer()
            refusal = await refusal_of(world.register(customer, number, GOODS))
            found = await refusal_of(customer.claim(number))

    assert (refusal.code, refusal.domain, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "accrual.galen", "PURCHASE_REFUSED")
    assert refusal.metadata == {"status": "400"}
    assert found.reason == "CLAIM_NOT_FOUND"


def posts(world: World, number: str) -> list[Arrival]:
    return world.simulator.arrivals(order=number, operation=Operation.POST_ORDER)
