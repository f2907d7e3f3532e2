"""Reading orders as callers do: who may see what, and what is said to those who ask for nonsense."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest
from galen.orders.v1 import order_pb2
from galen.orders.v1 import order_service_pb2 as messages

from services.orders.domain.ordering.model import EventKind, State
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities, Metadata
from tests.orders.written_orders import LONG_AGO, Connection, WrittenOrder, write_event, write_orders


@pytest.fixture
def customer() -> str:
    return str(uuid4())


async def listed(reads: Any, caller: Metadata, parent: str, **fields: Any) -> messages.ListOrdersResponse:
    response: messages.ListOrdersResponse = await reads.ListOrders(messages.ListOrdersRequest(parent=parent, **fields), metadata=caller)
    return response


def names(orders: Sequence[order_pb2.Order]) -> list[str]:
    return [order.name for order in orders]


async def some_orders(writer: Connection, customer: str, number: int, **fields: Any) -> list[WrittenOrder]:
    """Writes orders; returns them newest first."""
    orders = [WrittenOrder(customer, created_at=LONG_AGO + timedelta(seconds=place), **fields) for place in range(number)]
    await write_orders(writer, *orders)
    return orders[::-1]


async def test_customers_page_through_their_own_orders_newest_first(
    reads: Any, writer: Connection, identities: Identities, customer: str
) -> None:
    orders = await some_orders(writer, customer, 5)
    await some_orders(writer, str(uuid4()), 2)
    caller, parent = identities.customer(customer), f"customers/{customer}"

    first = await listed(reads, caller, parent, page_size=3)
    second = await listed(reads, caller, parent, page_size=3, page_token=first.next_page_token)

    assert names(first.orders) == [order.name for order in orders[:3]]
    assert names(second.orders) == [order.name for order in orders[3:]]
    assert second.next_page_token == ""


async def test_a_filter_narrows_the_list_down(reads: Any, writer: Connection, identities: Identities, customer: str) -> None:
    (paid,) = await some_orders(writer, customer, 1, state=State.PAID)
    (ready,) = await some_orders(writer, customer, 1, state=State.READY, skus=["SKU-1", "CALL-1"])
    caller, parent = identities.customer(customer), f"customers/{customer}"

    assert names((await listed(reads, caller, parent, filter="state = PAID")).orders) == [paid.name]
    assert names((await listed(reads, caller, parent, filter='sku = "CALL-1" AND total <= 1000')).orders) == [ready.name]


@pytest.mark.parametrize("role", ["staff", "pharmacist", "admin"])
async def test_staff_list_and_find_the_orders_of_all_customers(reads: Any, writer: Connection, identities: Identities, role: str) -> None:
    word = f"w{uuid4().hex}"
    orders = [WrittenOrder(contact_name=f"{word} Smith") for _ in range(2)]
    await write_orders(writer, *orders)
    caller = identities.customer("someone", roles=(role,))

    everybody = await listed(reads, caller, "customers/-", page_size=200)
    found = await reads.SearchOrders(messages.SearchOrdersRequest(query=f"smi {word[:20].upper()}"), metadata=caller)

    assert {order.name for order in orders} <= {*names(everybody.orders)}
    assert {*names(found.orders)} == {order.name for order in orders}


async def test_nobody_else_reads_orders(reads: Any, identities: Identities, customer: str) -> None:
    own, other = f"customers/{customer}", "customers/another"
    caller, service = identities.customer(customer), identities.service("accrual")
    requests: dict[str, list[Any]] = {
        "ListOrders": [messages.ListOrdersRequest(parent=parent) for parent in (other, "customers/-")],
        "ListOrderEvents": [messages.ListOrderEventsRequest(parent=f"{other}/orders/{uuid4()}")],
        "SearchOrders": [messages.SearchOrdersRequest(query="ana")],
        "GetOrderQueueStats": [messages.GetOrderQueueStatsRequest(location="locations/main")],
    }
    for method, tried in requests.items():
        for request in tried:
            assert (await refusal_of(getattr(reads, method)(request, metadata=caller))).reason == "ACCESS_DENIED", method
            assert (await refusal_of(getattr(reads, method)(request, metadata=service))).reason == "ACCESS_DENIED", method
            assert (await refusal_of(getattr(reads, method)(request))).reason == "CREDENTIALS_MISSING", method
    assert names((await listed(reads, caller, own)).orders) == []


async def test_the_pickup_code_is_shown_to_the_customer_of_a_ready_order_only(
    reads: Any, writer: Connection, identities: Identities, staff: Metadata, customer: str
) -> None:
    await some_orders(writer, customer, 1, state=State.READY)
    await some_orders(writer, customer, 1, state=State.PAID)
    parent = f"customers/{customer}"

    own = (await listed(reads, identities.customer(customer), parent)).orders
    theirs = (await listed(reads, staff, parent)).orders

    assert {order_pb2.OrderState.Name(order.state): order.pickup_code for order in own} == {
        "ORDER_STATE_READY": "123456",
        "ORDER_STATE_PAID": "",
    }
    assert [order.pickup_code for order in theirs] == ["", ""]


async def test_what_may_be_done_depends_on_who_asks(
    reads: Any, writer: Connection, identities: Identities, staff: Metadata, customer: str
) -> None:
    await some_orders(writer, customer, 1, state=State.PAID)
    parent = f"customers/{customer}"

    (own,) = (await listed(reads, identities.customer(customer), parent)).orders
    (theirs,) = (await listed(reads, staff, parent)).orders

    assert {*own.allowed_actions} == {order_pb2.ORDER_ACTION_CANCEL, order_pb2.ORDER_ACTION_UPDATE}
    assert order_pb2.ORDER_ACTION_START_PREPARING in theirs.allowed_actions


@pytest.mark.parametrize("asked", [0, 1, 50, 200, 201, 2**31 - 1])
async def test_a_page_has_200_orders_at_most(reads: Any, writer: Connection, staff: Metadata, asked: int) -> None:
    customer = "two-hundred-and-one"
    if not (await listed(reads, staff, f"customers/{customer}", page_size=1)).orders:
        await some_orders(writer, customer, 201)

    page = await listed(reads, staff, f"customers/{customer}", page_size=asked)

    assert len(page.orders) == min(asked or 50, 200)
    assert page.next_page_token


async def test_a_token_is_for_the_list_it_was_made_for(
    reads: Any, writer: Connection, identities: Identities, staff: Metadata, customer: str
) -> None:
    await some_orders(writer, customer, 3)
    parent = f"customers/{customer}"
    token = (await listed(reads, staff, parent, page_size=1)).next_page_token
    forged = token[:-2] + ("AA" if token[-2:] != "AA" else "BB")

    wrong: list[dict[str, Any]] = [
        {"parent": "customers/-", "page_token": token},
        {"parent": parent, "page_token": token, "filter": "state = PAID"},
        {"parent": parent, "page_token": forged},
        {"parent": parent, "page_token": "%%%"},
        {"parent": parent, "page_token": "é"},
    ]
    for fields in wrong:
        refused = await refusal_of(reads.ListOrders(messages.ListOrdersRequest(**fields), metadata=staff))
        assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN")
    search = messages.SearchOrdersRequest(query="ana", page_token=token)
    assert (await refusal_of(reads.SearchOrders(search, metadata=staff))).reason == "INVALID_PAGE_TOKEN"
    assert (await listed(reads, staff, parent, page_token=token, page_size=100)).orders


@pytest.mark.parametrize(
    ("filter", "position"),
    [
        ("state = LOST", "8"),
        ("state = PAID OR total = 1", "13"),
        ('sku = "', "7"),
        ("'; drop table customer_order", "0"),
        ("total = " + "9" * 1900, "8"),
    ],
)
async def test_a_filter_that_does_not_parse_is_refused_with_its_place(reads: Any, staff: Metadata, filter: str, position: str) -> None:  # noqa: A002
    refused = await refusal_of(reads.ListOrders(messages.ListOrdersRequest(parent="customers/-", filter=filter), metadata=staff))

    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FILTER")
    assert refused.metadata["position"] == position
    assert refused.metadata["expected"]


@pytest.mark.parametrize(
    "query", ["'", "\\", ":*", "((((", "<->", "🙂", "--", "%", "zzqx'; drop table customer_order; --", "zzqx:* | zzqy", "z" * 200]
)
async def test_hostile_queries_find_nothing_rather_than_fail(reads: Any, writer: Connection, staff: Metadata, query: str) -> None:
    await write_orders(writer, WrittenOrder(contact_name="Drop Table"))

    found = await reads.SearchOrders(messages.SearchOrdersRequest(query=query), metadata=staff)

    assert list(found.orders) == []


@pytest.mark.parametrize("query", ["!ana", "ana & álvarez", "'ana'", "an:* ALV", "(ana | nobody", "ana " * 50])
async def test_signs_in_a_query_only_part_its_words(reads: Any, writer: Connection, staff: Metadata, query: str) -> None:
    await write_orders(writer, WrittenOrder(contact_name="Ana Álvarez"))

    found = await reads.SearchOrders(messages.SearchOrdersRequest(query=query), metadata=staff)

    assert bool(found.orders) is ("nobody" not in query)


@pytest.mark.parametrize("query", ["", "a\0b", "x" * 201])
async def test_what_is_no_query_is_refused(reads: Any, staff: Metadata, query: str) -> None:
    refused = await refusal_of(reads.SearchOrders(messages.SearchOrdersRequest(query=query), metadata=staff))

    assert refused.reason == "INVALID_REQUEST"


async def test_events_are_listed_first_to_last(reads: Any, writer: Connection, identities: Identities, customer: str) -> None:
    (order,) = await some_orders(writer, customer, 1)
    await write_event(writer, order, 1, kind=EventKind.CREATED, from_state=0, to_state=State.PENDING_PAYMENT)
    for number in range(2, 6):
        await write_event(writer, order, number, from_state=State.PAID, reason=f"because {number}", details={"changed": "note"})
    caller = identities.customer(customer)

    first = await reads.ListOrderEvents(messages.ListOrderEventsRequest(parent=order.name, page_size=3), metadata=caller)
    token = first.next_page_token
    second = await reads.ListOrderEvents(messages.ListOrderEventsRequest(parent=order.name, page_token=token), metadata=caller)

    events = [*first.events, *second.events]
    assert [event.name for event in events] == [f"{order.name}/events/{number}" for number in range(1, 6)]
    assert (len(first.events), second.next_page_token) == (3, "")
    assert events[0].from_state == order_pb2.ORDER_STATE_UNSPECIFIED
    assert (events[4].reason, dict(events[4].details), events[4].order_number) == ("because 5", {"changed": "note"}, order.number)
    assert (events[4].actor, events[4].role) == ("customers/someone", "staff")


@pytest.mark.parametrize("order", ["c0ffee00-aaaa-4bbb-8ccc-ddddeeeeffff", "no-uuid", "C0FFEE00-AAAA-4BBB-8CCC-DDDDEEEEFFFF", "-"])
async def test_there_are_no_events_of_what_is_no_order_of_the_customer(
    reads: Any, writer: Connection, staff: Metadata, customer: str, order: str
) -> None:
    refused = await refusal_of(
        reads.ListOrderEvents(messages.ListOrderEventsRequest(parent=f"customers/{customer}/orders/{order}"), metadata=staff)
    )
    (foreign,) = await some_orders(writer, str(uuid4()), 1)
    mixed_up = messages.ListOrderEventsRequest(parent=f"customers/{customer}/orders/{foreign.id}")

    assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "ORDER_NOT_FOUND")
    assert (await refusal_of(reads.ListOrderEvents(mixed_up, metadata=staff))).reason == "ORDER_NOT_FOUND"


async def test_the_queue_is_counted_by_state(reads: Any, writer: Connection, staff: Metadata) -> None:
    location = f"queue-{uuid4().hex}"
    now = datetime.now(UTC).replace(microsecond=0)
    late, later, soon = now - timedelta(hours=2), now - timedelta(hours=1), now + timedelta(days=1)
    waiting = [
        (State.PAID, late, ""),
        (State.PAID, soon, "customers/p"),
        (State.PREPARING, later, "customers/p"),
        (State.READY, None, ""),
        (State.COMPLETED, late, ""),
        (State.PENDING_PAYMENT, None, ""),
    ]
    orders = [WrittenOrder(state=state, due_at=due_at, assignee=assignee, location_id=location) for state, due_at, assignee in waiting]
    await write_orders(writer, *orders, WrittenOrder(state=State.PAID, location_id=f"{location}-2"))

    stats = await reads.GetOrderQueueStats(messages.GetOrderQueueStatsRequest(location=f"locations/{location}"), metadata=staff)

    counted = {State(count.state): (count.orders, count.unclaimed, count.overdue) for count in stats.states}
    assert counted == {
        State.UNDER_REVIEW: (0, 0, 0),
        State.PAID: (2, 1, 1),
        State.PREPARING: (1, 0, 1),
        State.READY: (1, 1, 0),
        State.SHIPPED: (0, 0, 0),
    }
    assert list(counted) == [State.UNDER_REVIEW, State.PAID, State.PREPARING, State.READY, State.SHIPPED]
    by_state = {count.state: count for count in stats.states}
    assert by_state[State.PAID].oldest_due_time.ToDatetime(tzinfo=UTC) == late
    assert not by_state[State.READY].HasField("oldest_due_time")


async def test_the_queue_of_a_place_that_does_not_exist_is_not_an_empty_one(reads: Any, staff: Metadata) -> None:
    main = await reads.GetOrderQueueStats(messages.GetOrderQueueStatsRequest(location="locations/main"), metadata=staff)
    refused = await refusal_of(reads.GetOrderQueueStats(messages.GetOrderQueueStatsRequest(location="locations/nowhere"), metadata=staff))

    assert len(main.states) == 5
    assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "LOCATION_NOT_FOUND")
