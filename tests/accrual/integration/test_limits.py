"""How many unfinished claims a customer may have."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import grpc
import pytest
from galen.accrual.v1.accrual_service_pb2_grpc import AccrualServiceStub

from deploy.local.accrual_sim.orders import Status
from services.accrual.container import AccrualContainer, service_parts
from services.accrual.settings import AccrualSettings
from shared.testing.errors import refusal_of
from shared.testing.servers import served
from tests.accrual.world import Customer, Owner, World, fresh_number

LIMIT = 5


@pytest.fixture
def accrual_settings(accrual_settings: AccrualSettings) -> AccrualSettings:
    return accrual_settings.model_copy(update={"pending_claims_max": LIMIT})


async def test_more_are_refused_until_some_are_finished(world: World, customer: Customer) -> None:
    numbers = [fresh_number() for _ in range(LIMIT)]
    ids = [str(uuid4()) for _ in numbers]
    for number, request_id in zip(numbers, ids, strict=True):
        await customer.submit(number, request_id=request_id)

    refusal = await refusal_of(customer.submit(fresh_number()))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_PENDING_CLAIMS")
    assert (refusal.metadata, refusal.retry_after_s) == ({"limit": str(LIMIT)}, 30)

    await customer.submit(numbers[0], request_id=ids[0])
    await customer.submit(numbers[0])
    await world.new_customer().submit(fresh_number())
    await world.register(customer, fresh_number(), ("Cup", 1))

    for number in numbers[:2]:
        await world.simulator.settle_order(number, Status.INVALID)
        await customer.finished(number)
    await customer.submit(fresh_number())


async def test_the_limit_holds_when_claims_come_at_the_same_time(world: World, customer: Customer) -> None:
    """Red without the customer's lock: each transaction would count the claims before the others' commits. Two replicas, since within
    one a customer's submissions take turns."""
    async with served(service_parts(AccrualContainer(settings=world.settings))) as other:
        stubs = [world.accrual, AccrualServiceStub(other.channel)] * 2 * LIMIT
        answers = await asyncio.gather(*(customer.submit(fresh_number(), by=stub) for stub in stubs), return_exceptions=True)

    assert sum(not isinstance(answer, Exception) for answer in answers) == LIMIT
    assert len((await customer.claims()).claims) == LIMIT


async def test_one_customers_flood_leaves_connections_for_others(world: World, customer: Customer, owner: Owner) -> None:
    """Red without the turns: the flood would hold every connection while it waits for the customer's lock."""
    await owner.execute("begin")
    await owner.execute("select pg_advisory_xact_lock(hashtextextended('claims of ' || %s, 0))", customer.id)
    flood = [asyncio.create_task(customer.submit(fresh_number())) for _ in range(20)]
    await asyncio.sleep(0.3)

    async with asyncio.timeout(1):
        await world.new_customer().submit(fresh_number())

    await owner.execute("rollback")
    await asyncio.gather(*flood, return_exceptions=True)
