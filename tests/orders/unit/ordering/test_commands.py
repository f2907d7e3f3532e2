"""What commands make of orders: fields, times, events, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from services.orders.domain.errors import DuplicateSku, EtagMismatch, PickupCodeWrong, ReturnNotPossible, ScanIncomplete
from services.orders.domain.ordering import claims, commands
from services.orders.domain.ordering.changes import Command, Outcome, decide, request_cancellation
from services.orders.domain.ordering.model import (
    SYSTEM,
    Actor,
    EventKind,
    Fulfilment,
    Order,
    PaymentState,
    Pending,
    PointsState,
    State,
    Times,
)
from services.orders.domain.ordering.transitions import StockEffect
from shared.errors import AccessDenied, GalenError, InvalidRequest
from tests.orders.unit.ordering.orders import OWNER, TERMS, a_line, an_order, caller
from tests.orders.world import NOW

LATER = NOW + timedelta(hours=1)
STAFF = caller("staff")
PHARMACIST = caller("pharmacist", name="customers/pia")
CUSTOMER = caller("customer", name=OWNER)


def done(order: Order, command: Command, now: datetime = LATER) -> Outcome:
    return decide(order, command, now, TERMS)


def refused(order: Order, command: Command, now: datetime = LATER) -> GalenError:
    with pytest.raises(GalenError) as raised:
        done(order, command, now)
    return raised.value


def test_a_change_has_one_event_more_and_tells_who_did_what_when_and_why() -> None:
    outcome = done(an_order(State.PAID), commands.cancel(STAFF, '"3"', "recalled"))

    order, event = outcome.order, outcome.event
    assert (order.events, order.version, order.updated_at) == (4, 4, LATER)
    assert (event.number, event.kind, event.from_state, event.to_state) == (4, EventKind.STATE_CHANGED, State.PAID, State.CANCELLED)
    assert (event.actor, event.reason, event.created_at) == (Actor("customers/stan", "staff"), "recalled", LATER)
    assert (order.cancel_reason, order.times.cancelled, order.times.due) == ("recalled", LATER, None)
    assert outcome.effect is StockEffect.RESTOCK
    assert outcome.gives_back_prescriptions


def test_time_never_goes_back_within_an_order() -> None:
    order = an_order(State.PAID, updated_at=LATER)

    assert done(order, commands.start_preparing(STAFF, ""), NOW).event.created_at == LATER


def test_a_stale_etag_is_refused_before_anything_else_is_looked_at() -> None:
    assert isinstance(refused(an_order(State.CANCELLED), commands.start_preparing(STAFF, '"2"')), EtagMismatch)


@pytest.mark.parametrize(
    ("state", "command", "due"),
    [
        (State.PENDING_PAYMENT, commands.settle(), TERMS.preparation),
        (State.PREPARING, commands.finish_preparing(PHARMACIST, "", {"IBU-400": {"A": 2}}), TERMS.collection),
        (State.READY, commands.ship(STAFF, "", "T"), TERMS.arrival),
        (State.SHIPPED, commands.deliver(STAFF, ""), None),
    ],
)
def test_each_state_has_its_time_to_be_left(state: State, command: Command, due: timedelta | None) -> None:
    assert done(an_order(state), command).order.times.due == (None if due is None else LATER + due)


def test_the_time_for_preparing_begins_with_the_payment() -> None:
    order = an_order(State.PAID)

    assert done(order, commands.start_preparing(STAFF, "")).order.times.due == order.times.due


def test_an_approved_order_waits_for_its_money_and_is_nobodys_to_work_on() -> None:
    order = an_order(State.UNDER_REVIEW, assignee=PHARMACIST.name, lines=(a_line(rx_required=True),))

    outcome = done(order, commands.approve(PHARMACIST, ""))
    after = outcome.order
    assert (after.state, after.pending, after.pending_since) == (State.UNDER_REVIEW, Pending.CAPTURING, LATER)
    assert (after.reviewer, after.times.reviewed, after.assignee) == (PHARMACIST.name, LATER, "")
    assert (outcome.event.kind, outcome.effect) == (EventKind.REVIEWED, StockEffect.NONE)

    paid = done(after, commands.settle()).order
    assert (paid.state, paid.pending, paid.pending_since, paid.payment_state) == (State.PAID, Pending.NONE, None, PaymentState.PAID)


def test_a_rejected_order_says_why_and_by_whom() -> None:
    after = done(an_order(State.UNDER_REVIEW), commands.reject(PHARMACIST, "", "wrong dose")).order

    assert (after.state, after.cancel_reason, after.reviewer) == (State.CANCELLED, "wrong dose", PHARMACIST.name)
    assert (after.times.reviewed, after.times.cancelled, after.times.due) == (LATER, LATER, None)


def test_staff_say_why_they_cancel_and_customers_need_not() -> None:
    assert isinstance(refused(an_order(), commands.cancel(STAFF, '"3"', " ")), InvalidRequest)
    assert done(an_order(), commands.cancel(CUSTOMER, "", "")).order.state is State.CANCELLED


def test_who_starts_to_prepare_works_on_it_until_it_is_ready() -> None:
    started = done(an_order(State.PAID), commands.start_preparing(STAFF, "")).order
    assert (started.preparer, started.assignee, started.times.assigned) == (STAFF.name, STAFF.name, LATER)

    ready = done(started, commands.finish_preparing(PHARMACIST, "", {"IBU-400": {"A": 1, "B": 1}})).order
    assert (ready.preparer, ready.assignee, ready.times.assigned) == (STAFF.name, "", None)


@pytest.mark.parametrize(
    ("packed", "sku", "expected", "scanned"),
    [
        ({}, "IBU-400", "2", "0"),
        ({"IBU-400": {"A": 1}}, "IBU-400", "2", "1"),
        ({"IBU-400": {"A": 2, "B": 1}}, "IBU-400", "2", "3"),
        ({"IBU-400": {"A": 2}, "OTHER": {"A": 1}}, "OTHER", "0", "1"),
    ],
)
def test_exactly_what_was_ordered_is_packed(packed: dict[str, dict[str, int]], sku: str, expected: str, scanned: str) -> None:
    error = refused(an_order(State.PREPARING), commands.finish_preparing(PHARMACIST, "", packed))

    assert isinstance(error, ScanIncomplete)
    assert error.metadata == {"sku": sku, "expected": expected, "scanned": scanned}


def test_an_order_is_handed_over_for_its_own_code_only() -> None:
    order = an_order(State.READY, fulfilment=Fulfilment.PICKUP, pickup_code="012345")

    assert isinstance(refused(order, commands.hand_over(STAFF, "", "012346")), PickupCodeWrong)
    after = done(order, commands.hand_over(STAFF, "", "012345")).order
    assert (after.state, after.times.finished, after.points_state) == (State.COMPLETED, LATER, PointsState.PENDING)


def test_the_event_of_a_shipment_has_its_tracking_number() -> None:
    outcome = done(an_order(State.READY), commands.ship(STAFF, "", "TR-1"))

    assert (outcome.order.tracking_number, outcome.event.details) == ("TR-1", {"tracking_number": "TR-1"})


def test_some_of_an_order_can_come_back() -> None:
    order = an_order(State.COMPLETED, lines=(a_line(), a_line("PAR-500", 3)), times=Times(finished=NOW))

    outcome = done(order, commands.accept_return(STAFF, "", [("PAR-500", 2)], "damaged"))
    assert outcome.order.state is State.RETURNED
    assert [line.returned_quantity for line in outcome.order.lines] == [0, 2]
    assert (outcome.order.cancel_reason, outcome.event.details) == ("damaged", {"PAR-500": "2"})
    assert not outcome.gives_back_prescriptions


@pytest.mark.parametrize("units", [[("IBU-400", 3)], [("OTHER", 1)]])
def test_no_more_comes_back_than_was_bought(units: list[tuple[str, int]]) -> None:
    error = refused(an_order(State.COMPLETED), commands.accept_return(STAFF, "", units, "damaged"))

    assert isinstance(error, ReturnNotPossible)
    assert error.metadata == {"sku": units[0][0]}


def test_each_sku_is_returned_once() -> None:
    with pytest.raises(DuplicateSku):
        commands.accept_return(STAFF, "", [("IBU-400", 1), ("IBU-400", 1)], "damaged")


def test_the_time_for_returning_ends_and_begins_with_having_it() -> None:
    finished, command = Times(finished=NOW), commands.accept_return(STAFF, "", [("IBU-400", 1)], "damaged")
    end = NOW + TERMS.returning

    done(an_order(State.COMPLETED, times=finished), command, end)
    late = refused(an_order(State.COMPLETED, times=finished), command, end + timedelta(microseconds=1))
    assert isinstance(late, ReturnNotPossible)
    assert late.metadata == {"until": end.isoformat()}
    done(an_order(State.SHIPPED), command, end + timedelta(days=100))


@pytest.mark.parametrize(("state", "command"), [(State.PENDING_PAYMENT, commands.expire()), (State.SHIPPED, commands.auto_complete())])
def test_time_does_nothing_before_it_is_due(state: State, command: Command) -> None:
    order = an_order(state, times=Times(due=LATER))

    assert refused(order, command, LATER - timedelta(microseconds=1)).reason == "ORDER_STATE"
    assert done(order, command, LATER).order.state in (State.EXPIRED, State.COMPLETED)


def test_an_update_changes_what_it_names_and_no_more() -> None:
    order = an_order(note="ring twice", assignee="customers/sue")

    outcome = done(order, commands.update(CUSTOMER, "", note="", address=None))
    assert outcome.order == replace(order, note="", events=4, version=4, updated_at=LATER)
    assert (outcome.event.kind, outcome.event.details) == (EventKind.UPDATED, {"changed": "note"})


def test_a_cancellation_that_waits_for_the_provider_is_taken_up_as_it_was_asked_for() -> None:
    wanted = [
        (an_order(), commands.cancel(CUSTOMER, "", "changed my mind")),
        (an_order(), commands.cancel(STAFF, '"3"', "not to be had")),
        (an_order(State.UNDER_REVIEW), commands.reject(PHARMACIST, "", "wrong dose")),
        (an_order(times=Times(due=NOW)), commands.expire()),
    ]
    for order, command in wanted:
        waiting = request_cancellation(order, command, LATER)
        assert (waiting.order.state, waiting.order.pending, waiting.order.pending_since) == (order.state, Pending.CANCELLING, LATER)
        assert waiting.event.kind is EventKind.CANCEL_REQUESTED

        at_once, later = done(order, command), done(waiting.order, commands.as_requested(waiting.event))
        assert (later.order.state, later.order.cancel_reason) == (at_once.order.state, at_once.order.cancel_reason)
        assert (later.event.actor, later.event.reason) == (at_once.event.actor, at_once.event.reason)
        assert later.order.pending is Pending.NONE


def test_the_alert_that_nobody_collects_is_raised_once_and_ends_with_the_state() -> None:
    order = an_order(State.READY, times=Times(due=LATER))

    assert claims.overdue(order, SYSTEM, LATER - timedelta(seconds=1)) is None
    alerted = claims.overdue(order, SYSTEM, LATER)
    assert alerted is not None
    assert (alerted.order.overdue, alerted.event.kind, alerted.order.state) == (True, EventKind.OVERDUE, State.READY)
    assert claims.overdue(alerted.order, SYSTEM, LATER) is None
    assert not done(alerted.order, commands.ship(STAFF, "", "T")).order.overdue


def test_reviews_are_claimed_by_pharmacists() -> None:
    with pytest.raises(AccessDenied):
        claims.check_claimable(frozenset({State.PAID, State.UNDER_REVIEW}), STAFF)
    claims.check_claimable(frozenset({State.PAID, State.UNDER_REVIEW}), PHARMACIST)


def test_a_claim_is_given_back_by_whoever_has_it_or_by_an_admin() -> None:
    order = claims.claim(an_order(State.PAID), STAFF, LATER).order
    assert (order.assignee, order.times.assigned) == (STAFF.name, LATER)

    for other in (PHARMACIST, caller("staff", name="customers/sue")):
        with pytest.raises(GalenError, match="not claimed"):
            claims.release(order, other, LATER)
    for allowed, role in ((STAFF, "staff"), (caller("admin", name="customers/adam"), "admin")):
        outcome = claims.release(order, allowed, LATER)
        assert (outcome.order.assignee, outcome.event.kind, outcome.event.actor.role) == ("", EventKind.CLAIM_RELEASED, role)
