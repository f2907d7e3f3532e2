"""Many at once: one number for many customers, one claim for many pollers, one probe for the whole fleet.

Each race is lost when what guards it is taken out: the constraint, the row lock, the lease's token, the guarded update. The races for
numbers show that themselves, by running without the constraint too.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

import grpc
import pytest
from galen.accrual.v1 import accrual_service_pb2 as messages
from galen.accrual.v1 import claim_pb2

from deploy.local.accrual_sim.orders import Status
from services.accrual.adapters.postgres.poll_queue import PostgresPollQueue
from services.accrual.adapters.postgres.provider import PostgresProviderRecord
from services.accrual.adapters.postgres.tables import NUMBER_UNIQUE
from services.accrual.application.ports import Lease
from services.accrual.container import AccrualContainer
from services.accrual.domain.claims import Answer, State
from services.accrual.domain.provider import Permit
from services.accrual.settings import AccrualSettings
from shared.grpc.errors import peer_error
from shared.postgres.engine import disposing
from tests.accrual.world import Customer, Owner, World, fresh_number

RIVALS = 20


@pytest.fixture
async def container(accrual_settings: AccrualSettings) -> AsyncIterator[AccrualContainer]:
    """The parts of a process in which nothing runs by itself."""
    container = AccrualContainer(settings=accrual_settings)
    async with disposing(container.engine()), disposing(container.work_engine()):
        yield container


@pytest.fixture
def queue(container: AccrualContainer) -> PostgresPollQueue:
    parts: PostgresPollQueue = container.queue()
    return parts


async def add_claims(owner: Owner, count: int) -> set[str]:
    numbers = [fresh_number() for _ in range(count)]
    await owner.add_claims("ann", numbers)
    return set(numbers)


async def claim_at_once(world: World, number: str) -> Counter[str]:
    """Returns how many of RIVALS customers were told what."""
    rivals = [world.new_customer() for _ in range(RIVALS)]
    answers = await asyncio.gather(*(rival.submit(number) for rival in rivals), return_exceptions=True)
    return Counter(peer_error(answer).reason if isinstance(answer, Exception) else "CREATED" for answer in answers)  # type: ignore[arg-type]


async def test_of_many_customers_who_claim_a_number_at_once_one_gets_it(world: World) -> None:
    for _ in range(3):
        assert await claim_at_once(world, fresh_number()) == {"CREATED": 1, "CLAIMED_BY_ANOTHER": RIVALS - 1}


async def test_without_the_constraint_several_would_get_it(world: World, owner: Owner) -> None:
    """The proof that the race above is one, and that nothing but the constraint decides it."""
    await owner.execute(f"alter table claim drop constraint {NUMBER_UNIQUE}")
    try:
        winners = [(await claim_at_once(world, fresh_number()))["CREATED"] for _ in range(5)]
    finally:
        await owner.reset()
        await owner.execute(f"alter table claim add constraint {NUMBER_UNIQUE} primary key (number)")

    assert max(winners) > 1


async def test_a_request_that_is_sent_many_times_at_once_makes_one_claim_and_has_one_answer(customer: Customer, number: str) -> None:
    request_id = str(uuid4())

    answers = await asyncio.gather(*(customer.submit(number, request_id=request_id) for _ in range(RIVALS)))

    assert all(answer == answers[0] for answer in answers)
    assert answers[0].outcome == messages.SUBMIT_OUTCOME_CREATED
    assert len((await customer.claims()).claims) == 1


async def test_an_id_that_is_sent_with_many_numbers_at_once_is_good_for_one(customer: Customer) -> None:
    """New ones, and ones that the customer has already."""
    free, taken = ([fresh_number() for _ in range(RIVALS)] for _ in range(2))
    await asyncio.gather(*(customer.submit(number) for number in taken))

    for numbers in (free, taken):
        request_id = str(uuid4())
        told = await asyncio.gather(*(outcome(customer.submit(number, request_id=request_id)) for number in numbers))
        assert Counter(told) == {"answered": 1, "REQUEST_ID_REUSED": RIVALS - 1}


async def test_an_id_of_a_service_that_is_sent_for_many_customers_at_once_is_good_for_one(world: World) -> None:
    """Red without the log's unique key: each customer has a lock of their own."""
    customers, request_id = [world.new_customer() for _ in range(RIVALS)], str(uuid4())

    purchases = (world.register(customer, fresh_number(), ("Cup", 100), request_id=request_id) for customer in customers)

    assert Counter(await asyncio.gather(*map(outcome, purchases))) == {"answered": 1, "REQUEST_ID_REUSED": RIVALS - 1}
    assert sum([len((await customer.claims()).claims) for customer in customers]) == 1


async def outcome(call: Awaitable[object]) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return peer_error(error).reason
    return "answered"


async def test_a_claim_is_taken_by_one_of_many_pollers(queue: PostgresPollQueue, owner: Owner) -> None:
    """Red without `for update`: two updates would wait for each other and then both take the claim."""
    for _ in range(5):
        numbers = await add_claims(owner, 12)

        taken = await asyncio.gather(*(queue.lease(3) for _ in range(RIVALS)))

        assert sorted(lease.number for leases in taken for lease in leases) == sorted(numbers)


async def test_a_poller_does_not_wait_for_a_claim_that_another_is_just_taking(queue: PostgresPollQueue, owner: Owner) -> None:
    """Red without `skip locked`."""
    (busy,) = await add_claims(owner, 1)
    await owner.execute("update claim set due_at = now() - interval '1 hour'")
    others = await add_claims(owner, 2)

    async with locked(owner, busy):
        began = time.monotonic()
        leases = await queue.lease(10)
        took_s = time.monotonic() - began

    assert {lease.number for lease in leases} == others
    assert took_s < 1


@asynccontextmanager
async def locked(owner: Owner, number: str) -> AsyncIterator[None]:
    """Another transaction that has the claim's row."""
    await owner.execute("begin")
    await owner.execute("select number from claim where number = %s for update", number)
    try:
        yield
    finally:
        await owner.execute("rollback")


async def test_a_lease_keeps_others_away_until_its_time_is_up(queue: PostgresPollQueue, owner: Owner) -> None:
    (number,) = await add_claims(owner, 1)
    (first,) = await queue.lease(10)
    assert list(await queue.lease(10)) == []

    await expire(owner)
    (second,) = await queue.lease(10)

    assert (first.number, second.number) == (number, number)
    assert first.token != second.token


async def expire(owner: Owner) -> None:
    await owner.execute("update claim set lease_until = now() - interval '1 second' where lease_until is not null")


async def test_who_lost_the_lease_changes_nothing(queue: PostgresPollQueue, owner: Owner) -> None:
    """Red without the token in the update: a poller that was asleep would overwrite what its successor found."""
    await add_claims(owner, 1)
    (late,) = await queue.lease(1)
    await expire(owner)
    (current,) = await queue.lease(1)

    assert not await queue.conclude(late, Answer(State.PROCESSED, 100))
    assert not await queue.conclude(late, Answer(State.INVALID))
    assert not await queue.postpone(late, State.PROCESSING, 7, 60)
    await queue.give_back(late)
    assert await stored(owner) == (1, None, 0, current.token)

    assert await queue.conclude(current, Answer(State.PROCESSED, 200))
    assert not await queue.conclude(current, Answer(State.PROCESSED, 300)), "an answer is stored once"
    assert await stored(owner) == (2, 200, 0, None)
    assert await owner.execute("select args from procrastinate_jobs") == [({"number": current.number},)]


async def stored(owner: Owner) -> tuple[object, ...]:
    (row,) = await owner.execute("select state, accrual, attempts, lease_token from claim")
    return tuple(row)


async def test_two_answers_for_one_claim_are_settled_once(world: World, queue: PostgresPollQueue, owner: Owner) -> None:
    """A poller that fell asleep after it was answered, and the one that took over, both conclude."""
    customer, number = world.new_customer(), fresh_number()
    await world.simulator.settle_order(number, Status.PROCESSED, 10)
    await customer.submit(number)
    claim = await customer.finished(number)

    late = Lease(number, customer.id, State.NEW, 0, uuid4())
    assert not await queue.conclude(late, Answer(State.PROCESSED, 99_00))
    await asyncio.sleep(0.3)

    assert await customer.claim(number) == claim
    assert [operation.amount for operation in await customer.credits()] == [1000]


async def test_a_claim_that_is_settled_many_times_at_once_is_credited_once(world: World, container: AccrualContainer, owner: Owner) -> None:
    customer, number = world.new_customer(), fresh_number()
    await owner.execute(
        "insert into claim (number, customer, state, accrual, actor, request_id, fingerprint, created_at, updated_at, answered_at)"
        " values (%s, %s, 2, 500, 'customers/x', gen_random_uuid(), '', now(), now(), now())",
        number,
        customer.id,
    )
    async with container.points().opened():
        await asyncio.gather(*(container.settle()(number) for _ in range(10)))

    claim = await customer.claim(number)
    assert (claim.state, claim.accrual) == (claim_pb2.CLAIM_STATE_PROCESSED, 500)
    assert [operation.name for operation in await customer.credits()] == [claim.credit_operation]


async def test_an_open_breaker_lets_one_request_through_in_the_whole_fleet(container: AccrualContainer, owner: Owner) -> None:
    """Red without the generation in the update."""
    record: PostgresProviderRecord = container.record()
    for _ in range(5):
        await owner.execute("update provider set breaker = 2, retry_at = now() - interval '1 second', openings = 1")

        permits = await asyncio.gather(*(record.take_permit() for _ in range(RIVALS)))

        assert probes(permits) == 1


def probes(permits: Sequence[Permit | float]) -> int:
    return sum(isinstance(permit, Permit) for permit in permits)
