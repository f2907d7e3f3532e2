"""What is refused: hostile input, wrong people, wrong states, stale etags. Nothing changes for any of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
from galen.orders.v1 import order_service_pb2 as messages
from galen.orders.v1.order_pb2 import Order, OrderState
from galen.orders.v1.order_service_pb2_grpc import OrderServiceStub
from google.protobuf.field_mask_pb2 import FieldMask

from shared.grpc.errors import PeerError, peer_error
from shared.testing.errors import refusal_of
from tests.orders.counter import Counter, Crew, scans_of
from tests.orders.orders_client import Orders, line
from tests.orders.stock_rows import LevelRow

# The same in each process that collects tests.
UNKNOWN = UUID("c0ffee00-aaaa-4bbb-8ccc-ddddeeeeffff")

STALE = '"1"'


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [("SKU", 0)],
        [("SKU", -1)],
        [("SKU", 100_001)],
        [("SKU", 2**31 - 1)],
        [("", 1)],
        [("a b", 1)],
        [("x" * 41, 1)],
        [("x\x00y", 1)],
        [("../etc", 1)],
        [(f"SKU-{number}", 1) for number in range(201)],
    ],
    ids=["none", "0", "negative", "huge", "largest", "no sku", "space", "long sku", "NUL", "path", "201 lines"],
)
async def test_lines_that_break_the_contract_are_refused(counter: Counter, lines: Sequence[tuple[str, int]]) -> None:
    refused = await refusal_of(counter.person().create(*(line(*one) for one in lines), location=counter.location))

    assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


@pytest.mark.parametrize(
    "fields",
    [
        {"note": "x" * 1001},
        {"note": "a\nb"},
        {"note": "a\x00b"},
        {"address": "addresses/1"},
        {"address": "customers/a/addresses/"},
        {"address": "customers/a/addresses/b/c"},
        {"location": "main"},
        {"location": "locations/a'b"},
        {"request_id": ""},
        {"request_id": "1"},
    ],
)
async def test_fields_that_break_the_contract_are_refused(counter: Counter, fields: dict[str, str]) -> None:
    assert (await refusal_of(counter.ordered(counter.person(), line("SKU"), **fields))).reason == "INVALID_REQUEST"


async def test_what_can_not_be_sold_is_refused_for_its_reason(counter: Counter) -> None:
    good, withdrawn = await counter.medicine(), await counter.medicine(withdrawn=True)
    dollars, limited = await counter.medicine(currency="USD"), await counter.medicine(max_per_order=2)
    prescribed, customer, other = await counter.medicine(rx_required=True), counter.person(), counter.person()
    foreign = await counter.prescription(other, prescribed)
    expired = await counter.prescription(customer, prescribed, expires_in_days=-1)
    elsewhere = await counter.prescription(customer, good)

    async def reason(*lines: messages.NewOrderLine, **fields: Any) -> tuple[str, dict[str, str]]:
        refused = await refusal_of(counter.ordered(customer, *lines, **fields))
        return refused.reason, refused.metadata

    assert await reason(line("NO-SUCH")) == ("MEDICINE_NOT_FOUND", {"sku": "NO-SUCH"})
    assert await reason(line(good), line(withdrawn)) == ("MEDICINE_WITHDRAWN", {"sku": withdrawn})
    assert await reason(line(good), line(good, 2)) == ("DUPLICATE_SKU", {"sku": good})
    assert await reason(line(good), line(dollars)) == ("MIXED_CURRENCIES", {})
    assert await reason(line(limited, 3)) == ("QUANTITY_LIMIT", {"sku": limited, "limit": "2", "requested": "3"})
    assert await reason(line(good), location="locations/nowhere") == ("LOCATION_NOT_FOUND", {})
    assert await reason(line(prescribed)) == ("PRESCRIPTION_REQUIRED", {"sku": prescribed})
    assert await reason(line(prescribed, 1, foreign)) == ("PRESCRIPTION_NOT_FOUND", {})
    borrowed = foreign.replace(other.name, customer.name)
    assert await reason(line(prescribed, 1, borrowed)) == ("PRESCRIPTION_NOT_FOUND", {})
    assert await reason(line(prescribed, 1, f"{customer.name}/prescriptions/x")) == ("PRESCRIPTION_NOT_FOUND", {})
    assert await reason(line(prescribed, 1, expired)) == ("PRESCRIPTION_EXPIRED", {"prescription": expired})
    assert await reason(line(prescribed, 1, elsewhere)) == ("PRESCRIPTION_MISMATCH", {"prescription": elsewhere, "sku": prescribed})
    assert [await counter.level(sku) for sku in (good, prescribed)] == [LevelRow(100, 0)] * 2
    assert await counter.rows("select 1 from customer_order where customer_id = %s", customer.id) == []


def calls(order: Order) -> dict[str, dict[str, Any]]:
    """Returns every method that acts on an order, with what it needs besides name, etag and id."""
    sku = order.lines[0].sku
    return {
        "UpdateOrder": {"note": "x", "update_mask": FieldMask(paths=["note"])},
        "CancelOrder": {"reason": "why"},
        "ApproveOrder": {},
        "RejectOrder": {"reason": "why"},
        "StartPreparing": {},
        "FinishPreparing": {"scans": scans_of(order) or [messages.ScannedUnits(sku=sku, lot_number="L", quantity=1)]},
        "ShipOrder": {"tracking_number": "T"},
        "DeliverOrder": {},
        "HandOverOrder": {"pickup_code": "000000"},
        "AcceptReturn": {"lines": [messages.ReturnedUnits(sku=sku, quantity=1)], "reason": "why"},
        "ReleaseClaim": {},
    }


MAY = {
    "UpdateOrder": "customer staff admin",
    "CancelOrder": "customer staff admin",
    "ApproveOrder": "pharmacist",
    "RejectOrder": "pharmacist",
    "StartPreparing": "staff pharmacist",
    "FinishPreparing": "pharmacist",
    "ShipOrder": "staff",
    "DeliverOrder": "staff",
    "HandOverOrder": "staff",
    "AcceptReturn": "staff pharmacist",
    "ReleaseClaim": "staff pharmacist admin",
}


@pytest.mark.parametrize("method", MAY)
async def test_only_the_named_roles_may_call_a_method_at_all(crew: Crew, method: str) -> None:
    order = await crew.in_state("PENDING_PAYMENT")
    for role in ("customer", "staff", "pharmacist", "admin"):
        who = crew.customer if role == "customer" else crew.counter.person(role)
        outcome = await outcome_of(who, method, order, **({} if method == "ReleaseClaim" else {"etag": "stale"}))
        admitted = role in MAY[method].split()
        assert (outcome != "ACCESS_DENIED") == admitted, (role, outcome)


async def outcome_of(who: Orders, method: str, order: Order, **changes: Any) -> str:
    """Returns the reason of the refusal, or OK."""
    try:
        await who.act(method, order, **(calls(order)[method] | changes))
    except grpc.aio.AioRpcError as error:
        return peer_error(error).reason
    return "OK"


@pytest.mark.parametrize("method", ["GetOrder", "UpdateOrder", "CancelOrder"])
async def test_customers_reach_no_orders_but_their_own(crew: Crew, method: str) -> None:
    order, eve = await crew.in_state("PENDING_PAYMENT"), crew.counter.person()
    borrowed = Order(name=order.name.replace(crew.customer.id, eve.id), etag=order.etag)
    borrowed.lines.extend(order.lines)

    async def reason(name: str) -> str:
        if method == "GetOrder":
            return (await refusal_of(eve.get(name))).reason
        return await outcome_of(eve, method, borrowed, name=name)

    assert await reason(order.name) == "ACCESS_DENIED"
    assert await reason(borrowed.name) == "ORDER_NOT_FOUND"
    assert (await crew.customer.get(order.name)).etag == order.etag


async def test_customers_make_orders_for_themselves_only(counter: Counter) -> None:
    customer, other = counter.person(), counter.person()

    assert (await refusal_of(counter.ordered(customer, parent=other.name))).reason == "ACCESS_DENIED"
    assert (await refusal_of(counter.ordered(counter.person("pharmacist"), parent=other.name))).reason == "ACCESS_DENIED"


async def test_who_does_not_say_who_they_are_is_refused(counter: Counter) -> None:
    stub = OrderServiceStub(counter.server.channel)
    request = messages.GetOrderRequest(name=f"customers/a/orders/{uuid4()}")

    assert (await refusal_of(stub.GetOrder(request, timeout=10))).reason == "CREDENTIALS_MISSING"
    service = counter.identities.service("accrual")
    assert (await refusal_of(stub.GetOrder(request, metadata=service, timeout=10))).reason == "ACCESS_DENIED"


@pytest.mark.parametrize("order_id", ["x", "1", str(UNKNOWN), str(UNKNOWN).upper(), UNKNOWN.hex, "0" * 64])
async def test_an_id_that_nobody_has_is_not_found_whatever_it_looks_like(crew: Crew, order_id: str) -> None:
    order = await crew.in_state("PENDING_PAYMENT")
    nobodys = Order(name=f"{crew.customer.name}/orders/{order_id}", etag='"1"', lines=order.lines)

    assert (await refusal_of(crew.customer.get(nobodys.name))).reason == "ORDER_NOT_FOUND"
    for method in MAY:
        who = crew.counter.person("staff", "pharmacist", "admin")
        assert await outcome_of(who, method, nobodys) == "ORDER_NOT_FOUND", method


@pytest.mark.parametrize(
    "name", ["", "orders/1", "customers//orders/1", "customers/a/orders/", "customers/a/orders/b/c", "customers/a/orders/é"]
)
async def test_a_name_that_is_none_is_refused(counter: Counter, name: str) -> None:
    assert (await refusal_of(counter.person("staff").get(name))).reason == "INVALID_REQUEST"


# Which methods are for which state; the methods that take none of them are refused in every other.
IN_STATE = {
    "PENDING_PAYMENT": "UpdateOrder CancelOrder",
    "UNDER_REVIEW": "UpdateOrder ApproveOrder RejectOrder",
    "PAID": "UpdateOrder CancelOrder StartPreparing",
    "PREPARING": "CancelOrder FinishPreparing ShipOrder",
    "READY": "CancelOrder ShipOrder",
    "SHIPPED": "DeliverOrder AcceptReturn",
    "COMPLETED": "AcceptReturn",
    "CANCELLED": "",
    "EXPIRED": "",
    "RETURNED": "",
}


@pytest.mark.parametrize("state", IN_STATE)
async def test_what_the_state_does_not_allow_is_refused_and_changes_nothing(crew: Crew, state: str) -> None:
    rx = state == "UNDER_REVIEW"
    order = await crew.in_state(state, delivery=True, rx=rx)
    somebody = crew.counter.person("staff", "pharmacist", "admin")
    shown = await somebody.get(order.name)

    for method in set(MAY) - set(IN_STATE[state].split()) - {"ReleaseClaim"}:
        refused = await refused_call(somebody, method, shown)
        assert refused.reason == "ORDER_STATE", method
        assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
        assert refused.metadata["state"] == state
        assert len(list(filter(None, refused.metadata["allowed"].split(",")))) == len(shown.allowed_actions)
    assert await somebody.get(order.name) == shown


async def refused_call(who: Orders, method: str, order: Order, **changes: Any) -> PeerError:
    return await refusal_of(who.act(method, order, **(calls(order)[method] | changes)))


@pytest.mark.parametrize("state", ["UNDER_REVIEW", "PAID", "PREPARING", "READY", "SHIPPED"])
async def test_a_stale_etag_is_aborted_and_changes_nothing(crew: Crew, state: str) -> None:
    order = await crew.in_state(state, delivery=True, rx=state == "UNDER_REVIEW")
    somebody = crew.counter.person("staff", "pharmacist", "admin")

    for method in IN_STATE[state].split():
        refused = await refused_call(somebody, method, order, etag=STALE)
        assert (refused.code, refused.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH"), method
    assert (await somebody.get(order.name)).etag == order.etag


async def test_customers_need_not_say_which_version_of_their_order_they_mean_and_staff_do(crew: Crew) -> None:
    order = await crew.in_state("PENDING_PAYMENT")
    for method, fields in (("UpdateOrder", {"update_mask": {"paths": ["note"]}, "note": "x"}), ("CancelOrder", {"reason": "why"})):
        for somebody in (crew.staff, crew.admin):
            refused = await refusal_of(somebody.act(method, order, etag="", **fields))
            assert (refused.reason, refused.message) == ("INVALID_REQUEST", "etag: must be said by staff"), method
        order = await crew.customer.act(method, order, etag="", **fields)
    assert order.state == OrderState.ORDER_STATE_CANCELLED


@pytest.mark.parametrize("method", sorted(set(MAY) - {"UpdateOrder", "CancelOrder", "ReleaseClaim"}))
async def test_staff_say_which_version_of_the_order_they_mean(crew: Crew, method: str) -> None:
    order = await crew.in_state("PENDING_PAYMENT")

    refused = await refused_call(crew.counter.person("staff", "pharmacist"), method, order, etag="")
    assert refused.reason == "INVALID_REQUEST"


async def test_a_pharmacist_reviews_no_order_of_their_own(counter: Counter) -> None:
    pharmacist = counter.person("pharmacist")
    crew = Crew(counter, pharmacist, counter.person("staff"), pharmacist, counter.person("admin"))
    order = await crew.in_state("UNDER_REVIEW", rx=True)

    assert (await refused_call(pharmacist, "ApproveOrder", order)).reason == "OWN_ORDER"
    assert (await refused_call(pharmacist, "RejectOrder", order)).reason == "OWN_ORDER"


async def test_nobody_takes_back_an_order_of_their_own(counter: Counter) -> None:
    """A return makes its refund, and who gives back money does not get it."""
    both = counter.person("staff", "admin")
    crew = Crew(counter, both, both, counter.person("pharmacist"), counter.person("admin"))
    order = await crew.in_state("COMPLETED")

    assert (await refused_call(both, "AcceptReturn", order)).reason == "OWN_ORDER"
    assert await outcome_of(counter.person("staff"), "AcceptReturn", order) == "OK"


async def test_staff_who_cancel_say_why(crew: Crew) -> None:
    order = await crew.in_state("PAID")

    assert (await refused_call(crew.staff, "CancelOrder", order, reason="")).reason == "INVALID_REQUEST"


@pytest.mark.parametrize("state", ["PREPARING", "READY", "SHIPPED"])
async def test_customers_cancel_only_what_nobody_has_begun_with(crew: Crew, state: str) -> None:
    order = await crew.in_state(state, delivery=True)

    assert (await refused_call(crew.customer, "CancelOrder", order)).reason == "ORDER_STATE"


async def test_all_states_were_tried() -> None:
    assert {f"ORDER_STATE_{state}" for state in IN_STATE} == set(OrderState.keys()) - {"ORDER_STATE_UNSPECIFIED"}
