"""What can be wanted of an order: a function for each command, with what it changes besides what its row of the table does."""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from services.orders.domain.errors import DuplicateSku, PickupCodeWrong, ReturnNotPossible, ScanIncomplete
from services.orders.domain.ordering.changes import THEN, Change, Command, Situation, may_come_back, return_window_end, state_refused
from services.orders.domain.ordering.model import Action, DeliveryAddress, Fulfilment, Order, OrderEvent, PaymentState, Pending, State
from services.orders.domain.ordering.transitions import CUSTOMER, THE_WORKER, Caller, Step
from shared.errors import FieldViolation, InvalidRequest

OUT_OF_STOCK = "OUT_OF_STOCK"
PAYMENT_LOST = "PAYMENT_LOST"
# The detail of an event that names the payment it follows from.
PAYMENT = "payment"


def authorize(payment_id: UUID | None = None) -> Command:
    """The money is set aside."""
    return _by_payment(Step.AUTHORIZE, payment_id, PaymentState.AUTHORIZED)


def settle(payment_id: UUID | None = None) -> Command:
    """The money is taken."""
    return _by_payment(Step.SETTLE, payment_id, PaymentState.PAID)


def _by_payment(step: Step, payment_id: UUID | None, state: PaymentState) -> Command:
    def change(at: Situation) -> Change:
        details = {} if payment_id is None else {PAYMENT: f"{at.order.name}/payments/{payment_id}"}
        return Change({"payment_state": state}, details)

    return Command(step, THE_WORKER, change=change)


def out_of_stock() -> Command:
    """The money is taken, but units that were held are lost or have expired: the order ends, and the money goes back."""
    return Command(Step.OUT_OF_STOCK, THE_WORKER, reason=OUT_OF_STOCK, change=lambda _: Change({"cancel_reason": OUT_OF_STOCK}))


def lose_payment() -> Command:
    """The money that was set aside is no longer: the order, which waited to be reviewed or for its money, ends."""
    return Command(Step.LOSE_PAYMENT, THE_WORKER, reason=PAYMENT_LOST, change=lambda _: Change({"cancel_reason": PAYMENT_LOST}))


def expire() -> Command:
    """The order was not paid or reviewed in time. Refused with OrderStateRefused before that time."""
    return Command(Step.EXPIRE, THE_WORKER, change=_when_due)


def auto_complete() -> Command:
    """The parcel must have arrived by now. Refused with OrderStateRefused before that time."""
    return Command(Step.AUTO_COMPLETE, THE_WORKER, change=_when_due)


def update(caller: Caller, etag: str, *, note: str | None, address: DeliveryAddress | None) -> Command:
    """Another note or address; None leaves it as it is.

    Refused with InvalidRequest: the address of an order that is collected, and staff who do not say which version they mean.
    """

    def change(at: Situation) -> Change:
        _check_version_said(at, etag)
        if address is not None and at.order.fulfilment is Fulfilment.PICKUP:
            raise _invalid("address", "an order that is collected has none")
        fields = {name: value for name, value in (("note", note), ("delivery_address", address)) if value is not None}
        return Change(fields, {"changed": ",".join(fields)})

    return Command(Action.UPDATE, caller, etag, change=change)


def approve(caller: Caller, etag: str) -> Command:
    """The prescriptions are as they should be. The money is taken next, for which there is time; the claim of whoever reviewed it ends."""

    def change(at: Situation) -> Change:
        due = max(at.order.times.due or at.now, at.now + at.terms.payment)
        times = replace(at.order.times, reviewed=at.now, assigned=None, due=due)
        taking = {"pending": Pending.CAPTURING, "pending_since": at.now}
        return Change({"reviewer": at.actor.name, "assignee": "", "times": times, **taking})

    return Command(Action.APPROVE, caller, etag, change=change)


def reject(caller: Caller, etag: str, reason: str) -> Command:
    """The prescriptions are not as they should be."""

    def change(at: Situation) -> Change:
        times = replace(at.order.times, reviewed=at.now, cancelled=at.now, assigned=None, due=None)
        return Change({"reviewer": at.actor.name, "cancel_reason": reason, "times": times})

    return Command(Action.REJECT, caller, etag, reason, change)


def cancel(caller: Caller, etag: str, reason: str) -> Command:
    """It is not wanted, or can't be had. Refused with InvalidRequest: staff who do not say why, or which version they mean."""

    def change(at: Situation) -> Change:
        _check_version_said(at, etag)
        if at.actor.role != CUSTOMER and not reason.strip():
            raise _invalid("reason", "must be said by staff")
        return Change({"cancel_reason": reason})

    return Command(Action.CANCEL, caller, etag, reason, change)


def as_requested(event: OrderEvent) -> Command:
    """Returns the command that a CANCEL_REQUESTED event tells of, by whom it was given."""
    caller = Caller(event.actor.name, frozenset({event.actor.role}))
    if event.details[THEN] == State.EXPIRED.name:
        return expire()
    if event.from_state is State.UNDER_REVIEW:
        return reject(caller, "", event.reason)
    # Which version was meant has been checked.
    return Command(Action.CANCEL, caller, "", event.reason, lambda _: Change({"cancel_reason": event.reason}))


def start_preparing(caller: Caller, etag: str) -> Command:
    """Somebody works on it."""

    def change(at: Situation) -> Change:
        times = replace(at.order.times, prepared=at.now, assigned=at.order.times.assigned or at.now)
        return Change({"assignee": at.actor.name, "preparer": at.actor.name, "times": times})

    return Command(Action.START_PREPARING, caller, etag, change=change)


def finish_preparing(caller: Caller, etag: str, packed: Mapping[str, Mapping[str, int]]) -> Command:
    """All is packed. Refused with ScanIncomplete: other units than were ordered."""

    def change(at: Situation) -> Change:
        ordered = {line.sku: line.quantity for line in at.order.lines}
        scanned = {sku: sum(lots.values()) for sku, lots in packed.items()}
        for sku in (*ordered, *scanned):
            if ordered.get(sku, 0) != scanned.get(sku, 0):
                raise ScanIncomplete(sku, expected=ordered.get(sku, 0), scanned=scanned.get(sku, 0))
        return Change()

    return Command(Action.FINISH_PREPARING, caller, etag, change=change, packed=packed)


def ship(caller: Caller, etag: str, tracking_number: str) -> Command:
    """A carrier has it."""
    tracking = {"tracking_number": tracking_number}
    return Command(Action.SHIP, caller, etag, change=lambda _: Change(tracking, tracking))


def deliver(caller: Caller, etag: str) -> Command:
    """The customer has it."""
    return Command(Action.DELIVER, caller, etag)


def hand_over(caller: Caller, etag: str, pickup_code: str) -> Command:
    """The customer has it, who said the code. Refused with PickupCodeWrong."""

    def change(at: Situation) -> Change:
        if not hmac.compare_digest(pickup_code.encode(), at.order.pickup_code.encode()):
            raise PickupCodeWrong
        return Change()

    return Command(Action.HAND_OVER, caller, etag, change=change, pickup_code=pickup_code)


def accept_return(caller: Caller, etag: str, units: Sequence[tuple[str, int]], reason: str) -> Command:
    """Units came back, each SKU once. Refused with ReturnNotPossible, DuplicateSku."""
    check_each_once([sku for sku, _ in units])
    returned = dict(units)

    def change(at: Situation) -> Change:
        _check_window(at)
        for sku, quantity in units:
            _check_bought(at.order, sku, quantity)
        lines = tuple(replace(line, returned_quantity=returned.get(line.sku, 0)) for line in at.order.lines)
        return Change({"lines": lines, "cancel_reason": reason}, {sku: str(quantity) for sku, quantity in units})

    return Command(Action.ACCEPT_RETURN, caller, etag, reason, change, returned=returned)


def check_each_once(skus: Sequence[str]) -> None:
    """Raises DuplicateSku."""
    twice = next((sku for sku, count in Counter(skus).items() if count > 1), None)
    if twice is not None:
        raise DuplicateSku(twice)


def _when_due(at: Situation) -> Change:
    if at.order.times.due is None or at.now < at.order.times.due:
        raise state_refused(at.order, THE_WORKER)
    return Change()


def _check_version_said(at: Situation, etag: str) -> None:
    """Customers act on orders of their own whatever these are by now; staff on what they have seen."""
    if at.actor.role != CUSTOMER and not etag:
        raise _invalid("etag", "must be said by staff")


def _check_window(at: Situation) -> None:
    end = return_window_end(at.order, at.terms)
    if end is not None and not may_come_back(at.order, at.now, at.terms):
        raise ReturnNotPossible(f"it could be returned until {end.isoformat()}", until=end.isoformat())


def _check_bought(order: Order, sku: str, quantity: int) -> None:
    bought = next((line.quantity for line in order.lines if line.sku == sku), 0)
    if quantity > bought:
        raise ReturnNotPossible(f"{bought} units of {sku} were bought", sku=sku)


def _invalid(name: str, description: str) -> InvalidRequest:
    return InvalidRequest(f"{name}: {description}", violations=[FieldViolation(name, description)])
