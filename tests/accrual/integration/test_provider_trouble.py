"""The provider asks for silence, fails, or talks nonsense: claims wait, nothing is lost and nothing is credited by mistake."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal

import pytest
from aiohttp import web
from galen.accrual.v1 import claim_pb2, provider_pb2
from galen.accrual.v1.accrual_service_pb2_grpc import AccrualServiceStub
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from deploy.local.accrual_sim.faults import Fault, FaultKind, RetryAfterForm
from deploy.local.accrual_sim.orders import Status
from services.accrual.container import AccrualContainer, service_parts
from services.accrual.settings import AccrualSettings
from shared.testing.identities import Identities
from shared.testing.servers import served
from tests.accrual.world import Customer, Owner, World, eventually, fresh_number, provider_that_answers

FAILURES = [kind for kind in FaultKind if kind not in (FaultKind.NO_CONTENT, FaultKind.TOO_MANY_REQUESTS)]


@pytest.mark.parametrize("kind", FAILURES)
async def test_a_poll_that_went_wrong_is_repeated_and_the_right_answer_counts(
    world: World, customer: Customer, number: str, kind: FaultKind
) -> None:
    await world.simulator.settle_order(number, Status.PROCESSED, Decimal("12.34"))
    world.simulator.set_faults(Fault(kind, times=2, delay_s=1.5, size_bytes=1 << 20))

    await customer.submit(number)
    claim = await customer.finished(number)

    assert [scheduled.fired for scheduled in world.simulator.faults] == [2], "the fault must have happened"
    assert (claim.state, claim.accrual) == (claim_pb2.CLAIM_STATE_PROCESSED, 1234)
    assert [operation.amount for operation in await customer.credits()] == [1234]
    status = await world.provider()
    assert status.last_failure != ""
    assert status.consecutive_failures == 0


async def test_204_is_never_a_final_answer(world: World, customer: Customer, number: str) -> None:
    await world.simulator.settle_order(number, Status.PROCESSED, 1)
    world.simulator.set_faults(Fault(FaultKind.NO_CONTENT, times=6))

    await customer.submit(number)

    assert (await customer.finished(number)).accrual == 100
    assert (await world.provider()).last_failure == "", "not yet is no failure"


@pytest.mark.parametrize(
    ("form", "retry_after_s", "pause_s"),
    [
        (RetryAfterForm.SECONDS, 2, 2),
        (RetryAfterForm.DATE, 3, 3),
        (RetryAfterForm.SECONDS, 100_000, 86_400),
        (RetryAfterForm.MISSING, 1, 60),
        (RetryAfterForm.NONSENSE, 1, 60),
    ],
)
async def test_a_429_silences_us_for_as_long_as_it_says(
    world: World, customer: Customer, number: str, owner: Owner, form: RetryAfterForm, retry_after_s: int, pause_s: int
) -> None:
    world.simulator.set_faults(Fault(FaultKind.TOO_MANY_REQUESTS, times=1, retry_after_s=retry_after_s, retry_after_form=form))

    await customer.submit(number)
    ((left_s, attempts),) = await eventually(lambda: owner.execute(PAUSE))

    assert pause_s - 1.5 < left_s <= pause_s + 1  # a date has whole seconds only
    assert attempts == 0, "a throttled poll is not an attempt"
    status = await world.provider()
    assert status.HasField("blocked_until")
    assert (status.breaker, status.consecutive_failures, status.pending_claims) == (provider_pb2.BREAKER_STATE_CLOSED, 0, 1)


PAUSE = """select extract(epoch from blocked_until - clock_timestamp())::float, attempts from provider, claim
           where blocked_until is not null and lease_token is null"""


async def test_after_the_pause_the_claim_goes_on(world: World, customer: Customer, number: str) -> None:
    await world.simulator.settle_order(number, Status.PROCESSED, 5)
    world.simulator.set_faults(Fault(FaultKind.TOO_MANY_REQUESTS, times=1, retry_after_s=1))

    await customer.submit(number)
    await customer.finished(number)

    first, second = world.simulator.arrivals(order=number)
    assert second.monotonic_s - first.monotonic_s >= 1


async def test_a_failing_provider_is_left_alone_and_asked_by_one_request_at_a_time_until_it_is_well(
    world: World, customer: Customer, owner: Owner
) -> None:
    numbers = [fresh_number() for _ in range(30)]
    for number in numbers:
        await world.simulator.settle_order(number, Status.PROCESSED, 1)
    world.simulator.set_faults(Fault(FaultKind.INTERNAL_ERROR))
    await owner.add_claims(customer.id, numbers)

    await eventually(lambda: breaker_is(world, provider_pb2.BREAKER_STATE_OPEN))
    await asyncio.sleep(0.2)  # those that were under way
    before = len(world.simulator.arrivals())
    began = time.monotonic()
    await asyncio.sleep(2)
    sent, lasted_s = len(world.simulator.arrivals()) - before, time.monotonic() - began
    # Cool-downs of 0.2, 0.4, 0.8, 1, 1 ... seconds, one probe after each.
    assert 1 <= sent <= 2 + lasted_s / 0.4, "without the breaker 30 claims would have sent more than a hundred"

    world.simulator.set_faults()
    for number in numbers:
        assert (await customer.finished(number, within_s=30)).accrual == 100
    status = await world.provider()
    assert (status.breaker, status.consecutive_failures) == (provider_pb2.BREAKER_STATE_CLOSED, 0)
    assert len(await customer.credits()) == 30


async def breaker_is(world: World, state: provider_pb2.BreakerState.ValueType) -> bool:
    return bool((await world.provider()).breaker == state)


async def test_a_provider_that_is_away_is_waited_for(world: World, customer: Customer, number: str) -> None:
    await world.simulator.settle_order(number, Status.PROCESSED, 5)
    await world.simulator.stop_listening()
    await customer.submit(number)
    await eventually(lambda: has_failed(world))

    await world.simulator.start_listening()

    assert (await customer.finished(number)).accrual == 500


async def has_failed(world: World) -> bool:
    return bool((await world.provider()).last_failure.startswith("connection"))


@pytest.mark.parametrize(
    ("response", "failure"),
    [
        (web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}), "nonsense: status 302"),
        (web.Response(status=401), "nonsense: status 401"),
        (web.Response(status=503), "server_error: status 503"),
        (web.Response(text="<html>", content_type="text/html"), "nonsense: the content type is 'text/html'"),
        (
            web.Response(body=b"\x1f\x8b", headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}),
            "nonsense: the body is packed, which nobody asked for",
        ),
    ],
)
async def test_answers_that_the_contract_does_not_know_are_failures(
    accrual_settings: AccrualSettings,
    balance: BalanceServiceStub,
    identities: Identities,
    owner: Owner,
    number: str,
    response: web.Response,
    failure: str,
) -> None:
    async with provider_that_answers(response) as url:
        settings = accrual_settings.model_copy(update={"accrual_system_address": url})
        async with served(service_parts(AccrualContainer(settings=settings))) as server:
            customer = Customer(AccrualServiceStub(server.channel), balance, identities)
            await customer.submit(number)
            ((seen,),) = await eventually(lambda: owner.execute("select last_failure from provider where last_failure <> ''"))
            claim = await customer.claim(number)

    assert seen == failure
    assert claim.state == claim_pb2.CLAIM_STATE_NEW
