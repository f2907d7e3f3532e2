"""The saga of a payment: what to do next, decided from what is known, without doing it.

    hold points -> ask the provider -> (a pharmacist's review) -> capture the card -> commit the stock, order PAID -> capture the points

Taking the card's money is the pivot: before it everything is undone backwards, after it the payment only goes forward. Each step has a key
made from the payment, so a step that was done and not recorded is done again without a second effect. Whoever is here first drives the
saga: the call that started it, a job, a webhook, the poller; two at once do the same step twice, which is harmless.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from services.orders.domain.ordering.model import Order, State
from services.orders.domain.payments.model import Card, Payment, Points, Wish


class Step(Enum):
    """The next thing to do; WAIT and DONE end a drive."""

    HOLD_POINTS = "hold_points"
    CREATE_INTENT = "create_intent"
    AUTHORIZE_ORDER = "authorize_order"
    CAPTURE_CARD = "capture_card"
    SETTLE_ORDER = "settle_order"
    CAPTURE_POINTS = "capture_points"
    CANCEL_INTENT = "cancel_intent"
    RELEASE_POINTS = "release_points"
    REFUND_ALL = "refund_all"
    LOSE_PAYMENT = "lose_payment"
    GIVE_UP = "give_up"
    FINISH = "finish"
    WAIT = "wait"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class OrderStanding:
    """What the saga needs to know of the order.

    `approved`: a pharmacist has, or nobody has to. `was_paid`: it has been PAID once, whatever became of it; only this payment can have
    paid it, for an order has one that is live at most.
    """

    version: int
    state: State
    approved: bool
    was_paid: bool

    @classmethod
    def of(cls, order: Order) -> OrderStanding:
        is_approved = not order.has_rx or order.times.reviewed is not None
        return cls(order.version, order.state, approved=is_approved, was_paid=order.times.paid is not None)

    @property
    def is_open(self) -> bool:
        return self.state in (State.PENDING_PAYMENT, State.UNDER_REVIEW)


_WAITING = frozenset({Card.OPEN, Card.ACTION_REQUIRED, Card.PROCESSING})


def next_step(payment: Payment, order: OrderStanding) -> Step:
    """Returns what to do next."""
    if payment.quarantined and not payment.settled:
        return Step.WAIT
    if payment.is_final:
        return Step.REFUND_ALL if payment.has_late_money else Step.DONE
    if payment.wish is Wish.REFUSE:
        return _backward(payment, order)
    if payment.card_standing is Card.CAPTURED or payment.settled or order.was_paid:
        return _forward(payment, order)
    if payment.wish is not Wish.PAY:
        return _backward(payment, order)
    if not order.is_open:
        return Step.GIVE_UP
    return _towards_the_pivot(payment, order)


def _towards_the_pivot(payment: Payment, order: OrderStanding) -> Step:
    if payment.points_minor and payment.points_standing is not Points.HELD:
        return Step.GIVE_UP if payment.points_standing is Points.REFUSED else Step.HOLD_POINTS
    if payment.card_minor:
        if payment.card_standing in (Card.NOT_ASKED, Card.ASKED):
            return Step.CREATE_INTENT
        if payment.card_standing is Card.CANCELLED or (payment.card_standing is Card.DECLINED and payment.card):
            return Step.GIVE_UP
        if payment.card_standing in _WAITING or payment.card_standing is Card.DECLINED:
            return Step.WAIT
    if payment.manual_capture and order.state is State.PENDING_PAYMENT:
        return Step.AUTHORIZE_ORDER
    if not order.approved:
        return Step.WAIT
    return Step.CAPTURE_CARD if payment.card_minor else Step.SETTLE_ORDER


def _forward(payment: Payment, order: OrderStanding) -> Step:
    if not payment.settled:
        if not (order.is_open or order.was_paid):
            # It ended before the money came: what was taken is given back.
            return Step.RELEASE_POINTS if payment.holds_points else Step.REFUND_ALL
        if payment.manual_capture and order.state is State.PENDING_PAYMENT:
            return Step.AUTHORIZE_ORDER
        if not (order.approved or order.was_paid):
            # Somebody took it at the provider itself, before the review.
            return Step.WAIT
        return Step.SETTLE_ORDER
    if payment.points_standing is Points.HELD:
        return Step.CAPTURE_POINTS
    return Step.FINISH


def _backward(payment: Payment, order: OrderStanding) -> Step:
    if payment.card_standing is Card.ASKED:
        # Whether the provider heard of it is not known: asking again under the same key tells.
        return Step.CREATE_INTENT
    if payment.card_standing not in (Card.NOT_ASKED, Card.CANCELLED, Card.CAPTURED):
        return Step.CANCEL_INTENT
    if payment.holds_points:
        return Step.RELEASE_POINTS
    if payment.wish is not Wish.GIVE_UP and order.state is State.UNDER_REVIEW:
        # Nobody can pay it any more. If it was given up, whoever did that ends it.
        return Step.LOSE_PAYMENT
    return Step.FINISH
