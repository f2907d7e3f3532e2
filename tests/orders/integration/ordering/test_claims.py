"""The staff queue: each order goes to one of the staff, the one that is due first goes first."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import grpc
from galen.orders.v1.order_pb2 import (
    ORDER_EVENT_KIND_CLAIM_RELEASED,
    ORDER_EVENT_KIND_CLAIMED,
    ORDER_STATE_PAID,
    ORDER_STATE_UNDER_REVIEW,
    Order,
)

from shared.testing.errors import refusal_of
from tests.orders.counter import Counter, Crew, order_id
from tests.orders.orders_client import line


async def set_due(counter: Counter, order: Order, minutes: int) -> None:
    await counter.rows(
        "update customer_order set due_at = clock_timestamp() + %s * interval '1 minute' where order_id = %s", minutes, order_id(order)
    )


async def test_the_order_that_is_due_first_is_claimed_first(crew: Crew) -> None:
    orders = [await crew.in_state("PAID") for _ in range(3)]
    for order, minutes in zip(orders, (20, 5, 10), strict=True):
        await set_due(crew.counter, order, minutes)

    claimed = [await crew.staff.claim_next(crew.counter.location) for _ in range(3)]

    assert [order.name for order in claimed] == [orders[index].name for index in (1, 2, 0)]
    assert all(order.assignee == crew.staff.name for order in claimed)
    assert (await refusal_of(crew.staff.claim_next(crew.counter.location))).reason == "QUEUE_EMPTY"
    (*_, event) = await crew.staff.events(orders[0].name)
    assert (event.kind, event.actor, event.role) == (ORDER_EVENT_KIND_CLAIMED, crew.staff.name, "staff")


async def test_staff_at_the_same_time_get_different_orders(crew: Crew) -> None:
    sku = await crew.counter.medicine()
    orders = [await crew.in_state("PAID", line(sku)) for _ in range(6)]
    people = [crew.counter.person("staff") for _ in range(8)]

    outcomes = await asyncio.gather(*(one.claim_next(crew.counter.location) for one in people), return_exceptions=True)

    claimed = [outcome for outcome in outcomes if isinstance(outcome, Order)]
    # Who finds all of the rest locked is told that none waits, and asks again.
    later = [await crew.staff.claim_next(crew.counter.location) for _ in range(len(orders) - len(claimed))]
    assert sorted(order.name for order in [*claimed, *later]) == sorted(order.name for order in orders)
    assert len(claimed) >= len(orders) - 1


async def test_the_queue_is_of_one_location_and_of_what_waits_for_somebody(crew: Crew) -> None:
    await crew.in_state("PENDING_PAYMENT")
    await crew.in_state("PREPARING")
    await crew.in_state("UNDER_REVIEW", rx=True)

    assert (await refusal_of(crew.staff.claim_next(crew.counter.location))).reason == "QUEUE_EMPTY"


async def test_a_location_that_does_not_exist_has_no_queue(crew: Crew) -> None:
    refused = await refusal_of(crew.staff.claim_next("locations/nowhere"))

    assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "LOCATION_NOT_FOUND")


async def test_reviews_are_claimed_by_pharmacists_and_not_their_own(crew: Crew) -> None:
    order = await crew.in_state("UNDER_REVIEW", rx=True)
    location, states = crew.counter.location, (ORDER_STATE_UNDER_REVIEW, ORDER_STATE_PAID)

    assert (await refusal_of(crew.staff.claim_next(location, *states))).reason == "ACCESS_DENIED"
    own = crew.counter.person("pharmacist", person_id=crew.customer.id)
    assert (await refusal_of(own.claim_next(location, *states))).reason == "QUEUE_EMPTY"
    claimed = await crew.pharmacist.claim_next(location, *states)
    assert claimed.name == order.name
    approved = await crew.pharmacist.act("ApproveOrder", claimed)
    assert approved.assignee == ""
    assert (await refusal_of(crew.pharmacist.claim_next(location, *states))).reason == "QUEUE_EMPTY"


async def test_a_claimed_order_is_prepared_by_whoever_claimed_it(crew: Crew) -> None:
    await crew.in_state("PAID")
    claimed = await crew.staff.claim_next(crew.counter.location)

    assert (await refusal_of(crew.pharmacist.act("StartPreparing", claimed))).reason == "CLAIMED_BY_OTHER"
    assert (await crew.staff.act("StartPreparing", claimed)).preparer == crew.staff.name


async def test_a_claim_is_given_back_by_its_holder_or_an_admin(crew: Crew) -> None:
    order = await crew.in_state("PAID")
    location = crew.counter.location

    assert (await refusal_of(crew.staff.act("ReleaseClaim", order))).reason == "NOT_CLAIMED"
    for releasing in (crew.staff, crew.admin):
        claimed = await crew.staff.claim_next(location)
        assert (await refusal_of(crew.pharmacist.act("ReleaseClaim", claimed))).reason == "NOT_CLAIMED"
        released = await releasing.act("ReleaseClaim", claimed)
        assert (released.assignee, released.state) == ("", ORDER_STATE_PAID)
    (*_, event) = await crew.staff.events(order.name)
    assert (event.kind, event.role) == (ORDER_EVENT_KIND_CLAIM_RELEASED, "admin")


async def test_a_repeated_claim_is_the_same_order(crew: Crew) -> None:
    sku = await crew.counter.medicine()
    for _ in range(3):
        await crew.in_state("PAID", line(sku))
    request_id, location = str(uuid4()), crew.counter.location

    first = await asyncio.gather(*(crew.staff.claim_next(location, request_id=request_id) for _ in range(3)))
    assert all(order == first[0] for order in first)
    reused = await refusal_of(crew.staff.claim_next(location, ORDER_STATE_PAID, request_id=request_id))
    assert reused.reason == "REQUEST_ID_REUSED"
    await crew.staff.claim_next(location)
    await crew.staff.claim_next(location)
    assert (await refusal_of(crew.staff.claim_next(location))).reason == "QUEUE_EMPTY"


async def test_an_empty_queue_is_not_remembered(crew: Crew) -> None:
    request_id = str(uuid4())
    assert (await refusal_of(crew.staff.claim_next(crew.counter.location, request_id=request_id))).reason == "QUEUE_EMPTY"
    order = await crew.in_state("PAID")

    assert (await crew.staff.claim_next(crew.counter.location, request_id=request_id)).name == order.name


async def test_only_who_works_at_the_counter_claims_orders(crew: Crew) -> None:
    for who in (crew.customer, crew.admin):
        assert (await refusal_of(who.claim_next(crew.counter.location))).reason == "ACCESS_DENIED"
