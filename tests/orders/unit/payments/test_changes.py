"""Changes of a payment that were decided on before others drove it on: none of them takes anything back or begins anything twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.orders.domain.payments import changes
from services.orders.domain.payments.model import Card, Payment, PaymentState, Points, Wish
from tests.orders.unit.payments.outside import a_payment


def test_two_who_learn_that_a_key_is_spent_begin_one_new_attempt() -> None:
    """Or both would ask the provider, under a key of their own each."""
    once = changes.another_attempt(a_payment(), spent=1)

    assert changes.another_attempt(once, spent=1) == once
    assert once.key("create") != a_payment().key("create")


@pytest.mark.parametrize("over", [{"wish": Wish.GIVE_UP}, {"wish": Wish.FAIL}, {"state": PaymentState.CANCELLED}])
def test_neither_points_nor_card_are_asked_for_once_a_payment_is_given_up(over: dict[str, object]) -> None:
    payment: Payment = replace(a_payment(), **over)  # type: ignore[arg-type]

    assert changes.asked(payment) == payment
    assert changes.points_asked(payment) == payment


def test_a_late_refusal_does_not_undo_what_was_granted_since() -> None:
    held = replace(a_payment(), points_standing=Points.HELD, hold="hold")
    paid = replace(a_payment(), card_standing=Card.CAPTURED, intent="pi")

    assert changes.points_refused(held, "ACCOUNT_NOT_FOUND") == held
    assert changes.never_asked(paid, "resource_missing") == paid


@pytest.mark.parametrize(
    "undone",
    [{"card_standing": Card.ASKED}, {"card_standing": Card.OPEN}, {"points_standing": Points.ASKED}, {"points_standing": Points.HELD}],
)
def test_a_payment_does_not_end_before_everything_is_undone(undone: dict[str, object]) -> None:
    payment: Payment = replace(a_payment(), wish=Wish.GIVE_UP, **undone)  # type: ignore[arg-type]

    assert changes.finished(payment) == payment
