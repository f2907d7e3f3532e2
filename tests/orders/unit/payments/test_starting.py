"""Whether an order can be paid, and what by: amounts come from the order."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orders.domain.errors import OperationPending, OrderStateRefused, PaymentUnderWay, PointsAmountInvalid
from services.orders.domain.ordering.changes import Outcome
from services.orders.domain.ordering.model import EventKind, Order, Pending, State, Times
from services.orders.domain.payments.model import Card, Method, Payment
from services.orders.domain.payments.starting import Wanted, noted, start
from tests.orders.unit.ordering.orders import OWNER, a_line, an_order, caller
from tests.orders.unit.payments.outside import a_payment
from tests.orders.world import NOW

ANN = caller("customer", name=OWNER)
PAYMENT = UUID(int=5)


def started(order: Order, wanted: Wanted, live: Payment | None = None) -> Payment:
    return start(order, live, wanted, ANN, PAYMENT, NOW)[0]


@given(method=st.sampled_from(Method), points=st.integers(-5, 2000), price=st.integers(0, 500), quantity=st.integers(1, 4))
def test_whatever_is_asked_for_card_and_points_sum_to_what_the_order_costs(method: Method, points: int, price: int, quantity: int) -> None:
    order = an_order(lines=(a_line(quantity=quantity, unit_price_minor=price),))
    payable = price * quantity
    fits = {
        Method.CARD: points == 0,
        Method.POINTS: points in (0, payable),
        Method.MIXED: 0 < points < payable,
    }[method]

    if not fits or not payable:
        with pytest.raises(PointsAmountInvalid) as refused:
            started(order, Wanted(method, points, "pm_card_visa"))
        assert refused.value.metadata == {"payable": str(payable)}
        return
    payment = started(order, Wanted(method, points, "pm_card_visa"))

    assert payment.card_minor + payment.points_minor == payable
    assert (payment.card_minor == 0, payment.points_minor == 0) == (method is Method.POINTS, method is Method.CARD)
    assert bool(payment.card) is bool(payment.card_minor)
    assert (payment.order_id, payment.customer_id, payment.currency) == (order.id, order.customer_id, order.currency)


@pytest.mark.parametrize(
    ("points", "card", "standing"), [(0, "", Card.ASKED), (0, "pm_card_visa", Card.NOT_ASKED), (1, "", Card.NOT_ASKED)]
)
def test_the_provider_is_as_good_as_asked_only_where_no_money_can_come_of_it(points: int, card: str, standing: Card) -> None:
    method = Method.MIXED if points else Method.CARD

    assert started(an_order(), Wanted(method, points, card)).card_standing is standing


@pytest.mark.parametrize("rx", [False, True])
def test_only_what_must_be_reviewed_is_captured_later(rx: bool) -> None:
    assert started(an_order(lines=(a_line(rx_required=rx),)), Wanted(Method.CARD, 0, "")).manual_capture is rx


def test_what_cannot_be_paid_now_is_refused() -> None:
    card = Wanted(Method.CARD, 0, "")
    with pytest.raises(PaymentUnderWay):
        started(an_order(), card, live=a_payment())
    for state in set(State) - {State.PENDING_PAYMENT}:
        with pytest.raises(OrderStateRefused):
            started(an_order(state), card)
    with pytest.raises(OperationPending):
        started(an_order(pending=Pending.CANCELLING, pending_since=NOW), card)


def note(order: Order, *, is_first: bool, time_to_pay: timedelta = timedelta(minutes=15)) -> Outcome:
    payment, actor = start(order, None, Wanted(Method.CARD, 0, ""), ANN, PAYMENT, NOW)
    return noted(order, payment, actor, NOW, time_to_pay=time_to_pay, is_first=is_first)


def test_the_first_payment_gives_time_to_confirm_it_and_no_other_does() -> None:
    order = an_order(times=Times(due=NOW + timedelta(minutes=1)))

    first, second = note(order, is_first=True), note(order, is_first=False)

    assert first.order.times.due == NOW + timedelta(minutes=15)
    assert second.order.times.due == NOW + timedelta(minutes=1)
    assert (first.event.kind, dict(first.event.details)["method"]) == (EventKind.PAYMENT, "CARD")


def test_the_first_payment_never_takes_time_away() -> None:
    order = an_order(times=Times(due=NOW + timedelta(hours=1)))

    assert note(order, is_first=True).order.times.due == NOW + timedelta(hours=1)
