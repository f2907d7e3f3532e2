"""Whether an order can be paid now, and what by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from services.orders.domain.errors import PaymentUnderWay, PointsAmountInvalid
from services.orders.domain.ordering.changes import Command, Outcome, happened, judge
from services.orders.domain.ordering.model import Action, Actor, EventKind, Order
from services.orders.domain.ordering.transitions import Caller
from services.orders.domain.payments.changes import asked
from services.orders.domain.payments.model import Method, Payment, PaymentState


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the caller wants to pay with; `card` is the provider's name of a card, empty if the payer confirms at the provider."""

    method: Method
    points_minor: int
    card: str


def start(order: Order, live: Payment | None, wanted: Wanted, caller: Caller, payment_id: UUID, now: datetime) -> tuple[Payment, Actor]:
    """Returns the new payment, and who pays in which role.

    Raises OrderStateRefused, OperationPending, PaymentUnderWay, PointsAmountInvalid.
    """
    _, actor = judge(order, Command(Action.PAY, caller))
    if live is not None:
        raise PaymentUnderWay(live.name)
    points = _points_of(wanted, order.subtotal_minor)
    payment = Payment(
        id=payment_id,
        order_id=order.id,
        customer_id=order.customer_id,
        order_number=order.number,
        method=wanted.method,
        currency=order.currency,
        card_minor=order.subtotal_minor - points,
        points_minor=points,
        manual_capture=order.has_rx,
        card=wanted.card if points < order.subtotal_minor else "",
        created_at=now,
        updated_at=now,
    )
    return _asking(payment), actor


def _asking(payment: Payment) -> Payment:
    """Returns the payment with its first step noted, if no money can come of that should it be given up before: the payer confirms it."""
    if payment.card or payment.points_minor:
        return payment
    return replace(asked(payment), state=PaymentState.PENDING)


def _points_of(wanted: Wanted, payable: int) -> int:
    match wanted.method:
        case Method.CARD:
            fits = wanted.points_minor == 0 and payable > 0
        case Method.POINTS:
            fits = wanted.points_minor in (0, payable)
        case Method.MIXED:
            fits = 0 < wanted.points_minor < payable
    if not fits or payable == 0:
        raise PointsAmountInvalid(payable)
    return payable if wanted.method is Method.POINTS else wanted.points_minor


def noted(order: Order, payment: Payment, actor: Actor, now: datetime, *, time_to_pay: timedelta, is_first: bool) -> Outcome:
    """Returns the order with the event that its payment has begun; the first time it gets time for confirming it."""
    due = order.times.due
    later = replace(order.times, due=max(due, now + time_to_pay)) if is_first and due is not None else order.times
    details = {"payment": payment.name, "method": payment.method.name}
    return happened(order, replace(order, times=later), EventKind.PAYMENT, actor, now, details=details)
