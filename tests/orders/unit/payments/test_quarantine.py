"""What people decide of payments in quarantine, and what the provider says after that."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from uuid import UUID

import pytest

from services.orders.domain.errors import DecisionNotPossible
from services.orders.domain.ordering.model import State
from services.orders.domain.payments.changes import card_refused, with_standing
from services.orders.domain.payments.facts import Fact, FactKind, fold
from services.orders.domain.payments.model import Card, Payment, PaymentState, Refund, Wish
from services.orders.domain.payments.quarantine import Decision, release
from services.orders.domain.payments.refunding import refund_card
from services.orders.domain.payments.saga import OrderStanding, Step, next_step
from tests.orders.unit.payments.outside import START, a_payment

PAYMENT = replace(a_payment(points_minor=0), card_standing=Card.ASKED, intent="pi")


def captured(amount: int, *, charge: str = "ch_1", second: int = 0) -> Fact:
    return Fact(FactKind.CAPTURED, charge, START + timedelta(seconds=second), amount, "EUR")


def after(payment: Payment, *facts: Fact) -> Payment:
    return with_standing(payment, fold(payment, facts))


def refund_of(payment: Payment, amount: int, number: int) -> Refund:
    return refund_card(payment, amount, "EUR", refund_id=UUID(int=number), reason="", now=START, is_surplus=True)


def accepted(payment: Payment, facts: list[Fact], refunds: list[Refund]) -> tuple[Payment, int]:
    found = release(payment, facts, refunds, Decision.ACCEPT, order_was_paid=payment.settled)
    return found.payment, found.back_minor


def test_of_what_comes_in_addition_only_that_goes_back() -> None:
    facts = [captured(800)]
    payment, back = accepted(after(PAYMENT, *facts), facts, [])
    assert (back, payment.quarantined, after(payment, *facts).quarantined) == (100, False, False)

    facts.append(captured(150, charge="ch_2"))
    more = after(replace(payment, settled=True), *facts)
    assert more.quarantined
    again, back_again = accepted(more, facts, [refund_of(payment, back, 9)])

    assert back_again == 150
    assert not after(again, *facts).quarantined


def test_what_failed_to_go_back_and_was_given_again_went_back_once() -> None:
    facts = [captured(800)]
    payment, back = accepted(after(PAYMENT, *facts), facts, [])
    failed, again = card_refused(refund_of(payment, back, 8), "re_1", "lost"), refund_of(payment, back, 9)
    facts.append(captured(150, charge="ch_2"))
    more = after(payment, *facts)

    assert accepted(more, facts, [failed, again])[1] == 150
    assert accepted(more, facts, [failed])[1] == 150  # that which failed is for staff to give again


def test_whatever_comes_of_a_payment_that_was_refused_and_ended_goes_back() -> None:
    refused = replace(after(PAYMENT, captured(800)), wish=Wish.REFUSE, state=PaymentState.CAPTURED, quarantined=False, refunded_minor=800)
    ended = OrderStanding(1, State.EXPIRED, approved=True, was_paid=False)

    assert next_step(refused, ended) is Step.DONE
    assert next_step(replace(refused, captured_minor=900), ended) is Step.REFUND_ALL


def test_what_went_back_at_the_provider_itself_does_not_go_back_again() -> None:
    facts = [captured(800), Fact(FactKind.REFUNDED, "re_by_hand", START, 60, "EUR")]

    assert accepted(after(PAYMENT, *facts), facts, [])[1] == 40


def test_a_decision_holds_in_whatever_order_the_rest_is_told() -> None:
    facts = [
        Fact(FactKind.AUTHORIZED, "pi", START, 900, "EUR"),
        captured(650, second=1),
        Fact(FactKind.DECLINED, "pi", START + timedelta(seconds=2)),
        Fact(FactKind.REFUNDED, "re_1", START + timedelta(seconds=3), 50, "EUR"),
    ]
    payment, back = accepted(after(PAYMENT, *facts[:2]), facts[:2], [])
    assert (back, payment.card_minor) == (0, 650)

    ends = {after(payment, *order) for order in permutations(facts)}

    assert len(ends) == 1
    assert not ends.pop().quarantined


def test_of_what_is_refused_all_goes_back_whatever_comes() -> None:
    facts = [captured(800), Fact(FactKind.CAPTURED, "ch_2", START, 5, "USD")]
    found = release(after(PAYMENT, *facts[:1]), facts[:1], [], Decision.REFUND_ALL, order_was_paid=False)

    assert (found.back_minor, found.payment.wish, found.payment.may_pay) == (800, Wish.REFUSE, False)
    assert not after(found.payment, *facts).quarantined


@pytest.mark.parametrize(
    ("changes", "decision", "order_was_paid", "obstacle"),
    [
        ({"captured_minor": 0}, Decision.ACCEPT, False, "NOTHING_CAPTURED"),
        ({"state": PaymentState.CANCELLED}, Decision.ACCEPT, False, "PAYMENT_ENDED"),
        ({"currency": "USD"}, Decision.ACCEPT, False, "OTHER_CURRENCY"),
        ({"settled": True}, Decision.REFUND_ALL, True, "ORDER_IS_PAID"),
        ({}, Decision.REFUND_ALL, True, "ORDER_IS_PAID"),
        ({"state": PaymentState.FAILED}, Decision.REFUND_ALL, True, ""),
        ({"captured_minor": 0}, Decision.REFUND_ALL, False, ""),
    ],
)
def test_a_decision_that_the_facts_do_not_allow_is_refused(
    changes: dict[str, object], decision: Decision, order_was_paid: bool, obstacle: str
) -> None:
    facts = [captured(800)]
    payment = replace(after(PAYMENT, *facts), **changes)  # type: ignore[arg-type]

    try:
        release(payment, facts, [], decision, order_was_paid=order_was_paid)
        found = ""
    except DecisionNotPossible as error:
        found = error.metadata["obstacle"]

    assert found == obstacle
