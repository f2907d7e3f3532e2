"""Claims over gRPC: who gets a number, what a repeat is answered, what is listed; and the way of a claim to its points."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from uuid import uuid4

import grpc
import pytest
from galen.accrual.v1 import accrual_service_pb2 as messages
from galen.accrual.v1 import claim_pb2

from deploy.local.accrual_sim.orders import Status
from shared.luhn import with_check_digit
from shared.testing.errors import refusal_of
from tests.accrual.world import Customer, Owner, World, eventually, fresh_number

CREATED, ALREADY_YOURS = messages.SUBMIT_OUTCOME_CREATED, messages.SUBMIT_OUTCOME_ALREADY_YOURS
NEW, PROCESSING = claim_pb2.CLAIM_STATE_NEW, claim_pb2.CLAIM_STATE_PROCESSING
INVALID, PROCESSED = claim_pb2.CLAIM_STATE_INVALID, claim_pb2.CLAIM_STATE_PROCESSED


async def test_a_claim_ends_with_its_points_in_the_balance(world: World, customer: Customer, number: str) -> None:
    await world.simulator.settle_order(number, Status.PROCESSED, Decimal("729.98"))

    submitted = (await customer.submit(number)).claim
    claim = await customer.finished(number)

    assert (submitted.state, submitted.HasField("accrual"), submitted.credit_operation) == (NEW, False, "")
    assert (claim.state, claim.accrual) == (PROCESSED, 72998)
    (operation,) = await customer.credits()
    assert (operation.amount, operation.reference, operation.name) == (72998, number, claim.credit_operation)
    assert claim.update_time.ToDatetime() > claim.create_time.ToDatetime()


async def test_a_claim_goes_through_the_states_as_the_order_does(world: World, customer: Customer, number: str) -> None:
    async def state_is(state: claim_pb2.ClaimState.ValueType) -> bool:
        return (await customer.claim(number)).state == state

    await customer.submit(number)
    await eventually(lambda: asked_twice(world, number))
    assert await state_is(NEW), "204 means not yet"

    await world.simulator.settle_order(number, Status.REGISTERED)
    await eventually(lambda: state_is(PROCESSING))
    await world.simulator.settle_order(number, Status.PROCESSING)
    await world.simulator.settle_order(number, Status.PROCESSED, 10)

    assert (await customer.finished(number)).accrual == 1000


async def asked_twice(world: World, number: str) -> bool:
    return len(world.simulator.arrivals(order=number)) >= 2


@pytest.mark.parametrize(("status", "state"), [(Status.INVALID, INVALID), (Status.PROCESSED, PROCESSED)])
async def test_an_order_that_earned_nothing_is_published_at_once_and_nothing_is_credited(
    world: World, customer: Customer, number: str, status: Status, state: int
) -> None:
    await world.simulator.settle_order(number, status)

    await customer.submit(number)
    claim = await customer.finished(number)

    assert (claim.state, claim.HasField("accrual"), claim.credit_operation) == (state, False, "")
    assert await customer.credits() == []


async def test_a_final_claim_is_never_asked_about_again(world: World, customer: Customer, number: str) -> None:
    await world.simulator.settle_order(number, Status.PROCESSED, 10)
    await customer.submit(number)
    await customer.finished(number)

    await world.simulator.settle_order(number, Status.PROCESSED, 99)
    await asyncio.sleep(0.5)

    assert len(world.simulator.arrivals(order=number)) == 1
    assert (await customer.claim(number)).accrual == 1000


async def test_numbers_of_255_digits_and_third_decimals(world: World, customer: Customer) -> None:
    number = with_check_digit("9" * 254)
    await world.simulator.settle_order(number, Status.PROCESSED, Decimal("0.005"))

    await customer.submit(number)

    assert (await customer.finished(number)).accrual == 1


async def test_a_number_belongs_to_its_first_customer_for_ever(world: World, customer: Customer, number: str) -> None:
    first = await customer.submit(number)
    again = await customer.submit(number)
    refusal = await refusal_of(world.new_customer().submit(number))

    assert (first.outcome, again.outcome) == (CREATED, ALREADY_YOURS)
    assert again.claim.create_time == first.claim.create_time
    assert (refusal.code, refusal.domain, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "accrual.galen", "CLAIMED_BY_ANOTHER")


async def test_a_repeated_request_has_the_same_answer_even_when_the_claim_has_moved_on(
    world: World, customer: Customer, number: str
) -> None:
    request_id = str(uuid4())
    await world.simulator.settle_order(number, Status.PROCESSED, 10)

    first = await customer.submit(number, request_id=request_id)
    await customer.finished(number)
    again = await customer.submit(number, request_id=request_id)

    assert (again, again.outcome) == (first, CREATED)


async def test_a_request_id_is_good_for_one_number_of_one_customer(world: World, customer: Customer, number: str) -> None:
    request_id = str(uuid4())
    await customer.submit(number, request_id=request_id)

    refusal = await refusal_of(customer.submit(fresh_number(), request_id=request_id))
    other = await world.new_customer().submit(fresh_number(), request_id=request_id)

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert other.outcome == CREATED


async def test_an_id_that_found_a_claim_keeps_that_answer_and_makes_none(world: World, customer: Customer, number: str) -> None:
    request_id, free = str(uuid4()), fresh_number()
    await customer.submit(number)
    found = await customer.submit(number, request_id=request_id)
    await world.simulator.settle_order(number, Status.PROCESSED, 10)
    await customer.finished(number)

    assert (found.outcome, found.claim.state) == (ALREADY_YOURS, claim_pb2.CLAIM_STATE_NEW)
    assert await customer.submit(number, request_id=request_id) == found
    assert (await refusal_of(customer.submit(free, request_id=request_id))).reason == "REQUEST_ID_REUSED"
    assert (await refusal_of(customer.claim(free))).reason == "CLAIM_NOT_FOUND"


async def test_an_id_of_a_claim_that_was_made_without_the_log_makes_no_second_one(customer: Customer, owner: Owner, number: str) -> None:
    """By a replica of the version before, while this one is being deployed."""
    request_id = str(uuid4())
    await owner.execute(
        "insert into claim (number, customer, state, actor, request_id, fingerprint, created_at, updated_at, due_at)"
        " values (%s, %s, 1, %s, %s, '', now(), now(), now())",
        *(number, customer.id, customer.parent, request_id),
    )

    assert (await refusal_of(customer.submit(fresh_number(), request_id=request_id))).reason == "REQUEST_ID_REUSED"


async def test_a_refusal_does_not_use_the_id_up(world: World, customer: Customer, number: str) -> None:
    request_id = str(uuid4())
    await world.new_customer().submit(number)

    for _ in range(2):
        assert (await refusal_of(customer.submit(number, request_id=request_id))).reason == "CLAIMED_BY_ANOTHER"
    assert (await customer.submit(fresh_number(), request_id=request_id)).outcome == CREATED


@pytest.mark.parametrize("number", ["79927398710", "1"])
async def test_a_number_that_fails_the_luhn_check_is_refused(customer: Customer, number: str) -> None:
    refusal = await refusal_of(customer.submit(number))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "ORDER_NUMBER_INVALID")


@pytest.mark.parametrize("number", ["", "12a", "1 8", "-18", "٣", "18\n", "0" * 256, "18; drop table claim"])
async def test_what_is_no_number_is_refused_with_the_field_named(customer: Customer, number: str) -> None:
    refusal = await refusal_of(customer.submit(number))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert refusal.message.startswith("number")


async def test_a_customer_without_claims_has_an_empty_list_and_a_missing_claim_is_not_found(customer: Customer, number: str) -> None:
    page = await customer.claims()
    refusal = await refusal_of(customer.claim(number))

    assert (list(page.claims), page.next_page_token) == ([], "")
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "CLAIM_NOT_FOUND")


async def test_claims_are_paged_newest_first_without_gaps_or_repeats(world: World, customer: Customer) -> None:
    numbers = [fresh_number() for _ in range(5)]
    for number in numbers:
        await customer.submit(number)
    await world.new_customer().submit(fresh_number())

    seen, token = [], ""
    while True:
        page = await customer.claims(page_size=2, page_token=token)
        seen += [claim.number for claim in page.claims]
        token = page.next_page_token
        if not token:
            break

    assert seen == numbers[::-1]


async def test_claims_of_the_same_instant_are_paged_by_number(customer: Customer, owner: Owner) -> None:
    for _ in range(5):
        await customer.submit(fresh_number())
    await owner.execute("update claim set created_at = '2026-01-01', updated_at = '2026-01-01'")

    first = await customer.claims(page_size=3)
    rest = await customer.claims(page_size=3, page_token=first.next_page_token)

    seen = [claim.number for claim in (*first.claims, *rest.claims)]
    assert (len(seen), seen) == (5, sorted(set(seen), reverse=True))


async def test_a_page_token_is_good_for_its_own_list_only(world: World, customer: Customer) -> None:
    for _ in range(2):
        await customer.submit(fresh_number())
    token = (await customer.claims(page_size=1)).next_page_token

    for asking, used in ((world.new_customer(), token), (customer, token[:-2] + "AA"), (customer, "nonsense")):
        assert (await refusal_of(asking.claims(page_token=used))).reason == "INVALID_PAGE_TOKEN"
