"""From the click to the counter and back: what each step does to the order, its stock and its prescriptions."""

from __future__ import annotations

from uuid import uuid4

import grpc
import pytest
from galen.inventory.v1.inventory_service_pb2 import RecallLotRequest
from galen.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub
from galen.orders.v1 import order_pb2 as orders
from galen.orders.v1.order_service_pb2 import ReturnedUnits, ScannedUnits

from services.orders.domain.ordering.model import State
from shared.testing.errors import refusal_of
from tests.orders.counter import LOT, Counter, Crew, order_id, scans_of, state_number
from tests.orders.orders_client import line
from tests.orders.stock_rows import LevelRow


async def states(crew: Crew, order: orders.Order) -> list[str]:
    """Returns the states that the order came to, first to last."""
    events = await crew.customer.events(order.name)
    return [orders.OrderState.Name(event.to_state).removeprefix("ORDER_STATE_") for event in events if event.from_state != event.to_state]


async def quarantined(counter: Counter, sku: str) -> int:
    query = "select coalesce(sum(on_hand), 0)::int as units from stock_lot where sku = %s and state = 'QUARANTINED'"
    units: int = (await counter.rows(query, sku))[0].units
    return units


async def test_an_order_that_is_collected(crew: Crew) -> None:
    order = await crew.in_state("COMPLETED")

    assert await states(crew, order) == ["PENDING_PAYMENT", "PAID", "PREPARING", "READY", "COMPLETED"]
    times = [order.create_time, order.pay_time, order.prepare_time, order.ready_time, order.finish_time]
    assert times == sorted(times, key=lambda time: time.ToNanoseconds())
    assert all(time.ToNanoseconds() for time in times)
    assert order.earned_points.state == orders.EARNED_POINTS_STATE_PENDING
    assert not order.HasField("due_time")
    assert await crew.counter.level(order.lines[0].sku) == LevelRow(99, 0)


async def test_an_order_that_is_delivered_after_a_review(crew: Crew) -> None:
    order = await crew.in_state("COMPLETED", delivery=True, rx=True)

    assert await states(crew, order) == ["PENDING_PAYMENT", "UNDER_REVIEW", "PAID", "PREPARING", "READY", "SHIPPED", "COMPLETED"]
    assert (order.reviewer, order.preparer, order.tracking_number) == (crew.pharmacist.name, crew.staff.name, "TR-1")
    assert order.authorize_time.ToNanoseconds() < order.review_time.ToNanoseconds() < order.pay_time.ToNanoseconds()
    roles = [event.role for event in await crew.customer.events(order.name)]
    assert roles == ["customer", "system", "pharmacist", "system", "staff", "pharmacist", "staff", "staff"]


async def test_an_approved_order_waits_for_its_money(crew: Crew) -> None:
    order = await crew.in_state("UNDER_REVIEW", rx=True)

    approved = await crew.pharmacist.act("ApproveOrder", order)

    assert (approved.state, approved.pending_operation) == (order.state, orders.PENDING_OPERATION_CAPTURING)
    for method, who, fields in (
        ("ApproveOrder", crew.pharmacist, {}),
        ("RejectOrder", crew.pharmacist, {"reason": "no"}),
        ("UpdateOrder", crew.customer, {"update_mask": {"paths": ["note"]}, "note": "x"}),
    ):
        refused = await refusal_of(who.act(method, approved, **fields))
        assert (refused.reason, refused.metadata["pending"]) == ("OPERATION_PENDING", "CAPTURING")
    paid = await crew.counter.steps.settle(order_id(order))
    assert paid.state is State.PAID


async def test_what_is_approved_must_still_be_valid(crew: Crew) -> None:
    order = await crew.in_state("UNDER_REVIEW", rx=True)
    await crew.counter.rows("update prescription set revoked = true where customer_id = %s", crew.customer.id)

    assert (await refusal_of(crew.pharmacist.act("ApproveOrder", order))).reason == "PRESCRIPTION_EXPIRED"


async def test_a_rejected_order_frees_what_it_held(crew: Crew) -> None:
    order = await crew.in_state("UNDER_REVIEW", rx=True)
    assert await crew.counter.uses(order.lines[0].prescription) == 1

    rejected = await crew.pharmacist.act("RejectOrder", order, reason="dose unclear")

    assert (rejected.state, rejected.cancel_reason, rejected.reviewer) == (state_number("CANCELLED"), "dose unclear", crew.pharmacist.name)
    assert await crew.counter.level(order.lines[0].sku) == LevelRow(100, 0)
    assert await crew.counter.uses(order.lines[0].prescription) == 0


@pytest.mark.parametrize(("state", "delivery"), [("READY", False), ("READY", True), ("PREPARING", True)])
async def test_a_lot_that_is_recalled_does_not_reach_the_customer(crew: Crew, state: str, delivery: bool) -> None:
    order = await crew.in_state(state, delivery=delivery)
    sku, code = order.lines[0].sku, (await crew.customer.get(order.name)).pickup_code
    recall = RecallLotRequest(sku=sku, lot_number=LOT, reason="glass in it", request_id=str(uuid4()))
    await InventoryServiceStub(crew.counter.server.channel).RecallLot(recall, metadata=crew.pharmacist.metadata, timeout=20)

    method, said = ("ShipOrder", {"tracking_number": "TR-1"}) if delivery else ("HandOverOrder", {"pickup_code": code})
    # That it was recalled is noted on the order meanwhile, by whichever server comes to it.
    while (refused := await refusal_of(crew.staff.act(method, await crew.staff.get(order.name), **said))).reason == "ETAG_MISMATCH":
        continue

    assert (refused.reason, refused.metadata) == ("LOT_NOT_USABLE", {"sku": sku, "lot": LOT})
    after = await crew.staff.get(order.name)
    assert (after.state, after.lines) == (order.state, order.lines)
    assert (await cancelled_as_it_is_now(crew, order)).state == state_number("CANCELLED")


async def cancelled_as_it_is_now(crew: Crew, order: orders.Order) -> orders.Order:
    """It is noted on it meanwhile that it was recalled."""
    while True:
        try:
            return await crew.staff.act("CancelOrder", await crew.staff.get(order.name), reason="recalled")
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.ABORTED:
                raise


@pytest.mark.parametrize("state", ["PENDING_PAYMENT", "PAID", "PREPARING", "READY"])
async def test_a_cancelled_order_puts_everything_back(crew: Crew, state: str) -> None:
    sku = await crew.counter.medicine(rx_required=True)
    prescription = await crew.counter.prescription(crew.customer, sku)
    rx = state != "PENDING_PAYMENT"
    order = await crew.in_state(state, line(sku, 3, prescription), rx=rx)

    cancelled = await crew.staff.act("CancelOrder", order, reason="damaged in store")

    assert (cancelled.state, cancelled.cancel_reason) == (state_number("CANCELLED"), "damaged in store")
    assert await crew.counter.level(sku) == LevelRow(100, 0)
    assert await crew.counter.uses(prescription) == 0
    assert list(cancelled.allowed_actions) == []


async def test_scanning_binds_the_lots_that_were_packed(crew: Crew) -> None:
    sku = await crew.counter.medicine(10)
    await crew.counter.lot(sku, 10, "LATER", keeps_days=500)
    order = await crew.in_state("PREPARING", line(sku, 3))
    assert [(lot.lot_number, lot.quantity) for lot in order.lines[0].lots] == [(LOT, 3)]
    scans = [ScannedUnits(sku=sku, lot_number=number, quantity=1) for number in ("LATER", LOT, "LATER")]

    ready = await crew.pharmacist.act("FinishPreparing", order, scans=scans)

    assert [(lot.lot_number, lot.quantity) for lot in ready.lines[0].lots] == [(LOT, 1), ("LATER", 2)]
    assert (await crew.customer.get(order.name)).lines == ready.lines


async def test_only_usable_lots_are_packed_and_all_units_of_each_line(crew: Crew) -> None:
    sku = await crew.counter.medicine(10)
    order = await crew.in_state("PREPARING", line(sku, 3))

    unknown = await refusal_of(crew.pharmacist.act("FinishPreparing", order, scans=[ScannedUnits(sku=sku, lot_number="?", quantity=3)]))
    assert (unknown.reason, unknown.metadata) == ("LOT_NOT_USABLE", {"sku": sku, "lot": "?"})
    few = await refusal_of(crew.pharmacist.act("FinishPreparing", order, scans=[ScannedUnits(sku=sku, lot_number=LOT, quantity=2)]))
    assert (few.reason, few.metadata) == ("SCAN_INCOMPLETE", {"sku": sku, "expected": "3", "scanned": "2"})
    assert (await crew.pharmacist.act("FinishPreparing", order, scans=scans_of(order))).state == state_number("READY")


async def test_something_controlled_is_checked_by_a_second_person_before_it_leaves(crew: Crew) -> None:
    sku = await crew.counter.medicine(schedule=1)
    order = await crew.in_state("PAID", line(sku), delivery=True)
    order = await crew.pharmacist.act("StartPreparing", order)

    own = await refusal_of(crew.pharmacist.act("FinishPreparing", order, scans=scans_of(order)))
    assert own.reason == "SECOND_PERSON_REQUIRED"
    unchecked = await refusal_of(crew.staff.act("ShipOrder", order, tracking_number="T"))
    assert unchecked.reason == "CONTROLLED_NOT_CHECKED"
    second = crew.counter.person("pharmacist")
    ready = await second.act("FinishPreparing", order, scans=scans_of(order))
    assert (await crew.staff.act("ShipOrder", ready, tracking_number="T")).state == state_number("SHIPPED")


async def test_what_is_not_controlled_may_be_shipped_while_it_is_prepared(crew: Crew) -> None:
    order = await crew.in_state("PREPARING", delivery=True)

    assert (await crew.staff.act("ShipOrder", order, tracking_number="T")).state == state_number("SHIPPED")


async def test_what_is_collected_is_not_shipped_and_what_is_sent_not_handed_over(crew: Crew) -> None:
    collected, sent = await crew.in_state("READY"), await crew.in_state("READY", delivery=True)

    assert (await refusal_of(crew.staff.act("ShipOrder", collected, tracking_number="T"))).reason == "ORDER_STATE"
    assert (await refusal_of(crew.staff.act("HandOverOrder", sent, pickup_code="000000"))).reason == "ORDER_STATE"


async def test_the_pickup_code_is_shown_to_the_customer_only_while_the_order_is_ready(crew: Crew) -> None:
    order = await crew.in_state("READY")

    code = (await crew.customer.get(order.name)).pickup_code
    assert len(code) == 6
    assert (order.pickup_code, (await crew.staff.get(order.name)).pickup_code) == ("", "")
    done = await crew.staff.act("HandOverOrder", order, pickup_code=code)
    assert (await crew.customer.get(done.name)).pickup_code == ""
    replies = await crew.counter.rows(
        "select reply::text as reply from request_log where reply::text like %s", f'%"pickup_code": "{code}"%'
    )
    assert replies == []


async def test_wrong_pickup_codes_are_refused_not_remembered_and_not_without_end(crew: Crew) -> None:
    order, other = await crew.in_state("READY"), await crew.in_state("READY")
    code = (await crew.customer.get(order.name)).pickup_code
    wrong, request_id = f"{(int(code) + 1) % 10**6:06}", str(uuid4())

    assert (
        await refusal_of(crew.staff.act("HandOverOrder", order, pickup_code=wrong, request_id=request_id))
    ).reason == "PICKUP_CODE_WRONG"
    done = await crew.staff.act("HandOverOrder", order, pickup_code=code, request_id=request_id)
    assert done.state == state_number("COMPLETED")

    code = (await crew.customer.get(other.name)).pickup_code
    wrong = f"{(int(code) + 1) % 10**6:06}"
    reasons = [(await refusal_of(crew.staff.act("HandOverOrder", other, pickup_code=wrong))).reason for _ in range(6)]
    assert reasons == ["PICKUP_CODE_WRONG"] * 5 + ["RATE_LIMITED"]
    assert (await refusal_of(crew.staff.act("HandOverOrder", other, pickup_code=code))).reason == "RATE_LIMITED"


@pytest.mark.parametrize(("state", "delivery"), [("SHIPPED", True), ("COMPLETED", False)])
async def test_what_comes_back_is_quarantined(crew: Crew, state: str, *, delivery: bool) -> None:
    sku, kept = await crew.counter.medicine(10), await crew.counter.medicine(10)
    order = await crew.in_state(state, line(sku, 3), line(kept, 1), delivery=delivery)

    too_many = await refusal_of(crew.staff.act("AcceptReturn", order, lines=[ReturnedUnits(sku=sku, quantity=4)], reason="damaged"))
    assert (too_many.reason, too_many.metadata) == ("RETURN_NOT_POSSIBLE", {"sku": sku})
    returned = await crew.staff.act("AcceptReturn", order, lines=[ReturnedUnits(sku=sku, quantity=2)], reason="damaged")

    assert (returned.state, returned.cancel_reason) == (state_number("RETURNED"), "damaged")
    assert [one.returned_quantity for one in returned.lines] == [2, 0]
    assert (await crew.customer.get(order.name)).lines == returned.lines
    assert await quarantined(crew.counter, sku) == 2
    assert await crew.counter.level(sku) == LevelRow(7, 0)


async def test_the_time_for_returning_ends(crew: Crew) -> None:
    order = await crew.in_state("COMPLETED")
    await crew.counter.rows("update customer_order set finished_at = finished_at - interval '14 days' where order_id = %s", order_id(order))

    units = [ReturnedUnits(sku=order.lines[0].sku, quantity=1)]
    late = await refusal_of(crew.staff.act("AcceptReturn", order, lines=units, reason="damaged"))
    assert late.reason == "RETURN_NOT_POSSIBLE"
    assert "until" in late.metadata


async def test_note_and_address_can_be_changed_until_it_is_prepared(crew: Crew) -> None:
    order = await crew.in_state("PAID", delivery=True)
    address = f"{crew.customer.name}/addresses/{uuid4()}"

    changed = await crew.customer.update(order, "note", "address", note="ring twice", address=address)
    assert (changed.note, changed.delivery_address.address, changed.state) == ("ring twice", address, order.state)
    changed = await crew.customer.update(changed, "note", note="")
    assert (changed.note, changed.delivery_address.address) == ("", address)
    assert [event.details["changed"] for event in (await crew.customer.events(order.name))[-2:]] == ["note,delivery_address", "note"]
    assert await crew.customer.get(order.name) == changed

    started = await crew.staff.act("StartPreparing", changed)
    assert (await refusal_of(crew.customer.update(started, "note", note="late"))).reason == "ORDER_STATE"


async def test_an_update_takes_addresses_of_the_customer_only_and_none_for_what_is_collected(crew: Crew) -> None:
    delivered, collected = await crew.in_state("PAID", delivery=True), await crew.in_state("PAID")
    own, foreign = (f"customers/{owner}/addresses/{uuid4()}" for owner in (crew.customer.id, crew.staff.id))

    assert (await refusal_of(crew.customer.update(delivered, "address", address=foreign))).reason == "ADDRESS_NOT_FOUND"
    assert (await refusal_of(crew.customer.update(delivered, "address"))).reason == "INVALID_REQUEST"
    assert (await refusal_of(crew.customer.update(collected, "address", address=own))).reason == "INVALID_REQUEST"
    for order in (delivered, collected):
        assert (await crew.customer.get(order.name)).etag == order.etag


async def test_an_order_whose_time_to_come_back_is_over_is_no_longer_offered_to_be_returned(crew: Crew) -> None:
    order = await crew.in_state("COMPLETED")
    assert list(order.allowed_actions) == [orders.ORDER_ACTION_ACCEPT_RETURN]
    await crew.counter.rows(
        "update customer_order set finished_at = finished_at - interval '15 days' where order_id = %s returning 1", order_id(order)
    )

    shown = await crew.staff.get(order.name)
    units = [ReturnedUnits(sku=one.sku, quantity=one.quantity) for one in order.lines]
    refused = await refusal_of(crew.staff.act("AcceptReturn", shown, lines=units, reason="late"))

    assert list(shown.allowed_actions) == []
    assert refused.reason == "RETURN_NOT_POSSIBLE"
