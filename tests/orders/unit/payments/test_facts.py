"""What the provider says, folded: the order of its messages and how often each comes make no difference."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations, permutations
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orders.domain.payments.changes import with_standing
from services.orders.domain.payments.facts import Fact, FactKind, adds_nothing, fold, news
from services.orders.domain.payments.model import Card, Method, Payment

START = datetime(2026, 1, 1, tzinfo=UTC)
PAYMENT = Payment(
    id=UUID(int=1),
    order_id=UUID(int=2),
    customer_id="ada",
    order_number="1",
    method=Method.CARD,
    currency="EUR",
    card_minor=1000,
    points_minor=0,
    manual_capture=True,
    created_at=START,
    updated_at=START,
    card_standing=Card.ASKED,
)


def fact(kind: FactKind, second: int, *, amount: int = 0, reference: str = "ch_1", currency: str = "", detail: str = "") -> Fact:
    money = kind in (FactKind.AUTHORIZED, FactKind.CAPTURED, FactKind.REFUNDED)
    return Fact(kind, reference, START + timedelta(seconds=second), amount, currency or ("EUR" if money else ""), detail)


HISTORY = [
    fact(FactKind.OPENED, 0),
    fact(FactKind.ACTION_REQUIRED, 1),
    fact(FactKind.DECLINED, 2, detail="insufficient_funds"),
    fact(FactKind.AUTHORIZED, 5, amount=1000, reference="pi_1"),
    fact(FactKind.CAPTURED, 6, amount=1000),
    fact(FactKind.REFUNDED, 8, amount=300, reference="re_1"),
]


def test_every_order_of_one_history_ends_in_the_same_standing() -> None:
    whole = fold(PAYMENT, HISTORY)

    assert (whole.card, whole.captured_minor, whole.refunded_minor, whole.mismatch) == (Card.CAPTURED, 1000, 300, "")
    assert {fold(PAYMENT, order) for order in permutations(HISTORY)} == {whole}


def test_what_is_looked_at_again_and_again_is_kept_once() -> None:
    authorized = fact(FactKind.AUTHORIZED, 5, amount=1000, reference="pi_1")
    looks = [replace(authorized, at=authorized.at + timedelta(minutes=minute)) for minute in range(5)]

    assert news([authorized], looks) == []
    assert news(looks[2:], [authorized]) == [authorized]
    opened = fact(FactKind.OPENED, 9)
    assert news(HISTORY, [opened]) == [opened]


@given(known=st.lists(st.sampled_from(HISTORY)), told=st.lists(st.sampled_from(HISTORY)), later_s=st.integers(0, 9))
def test_leaving_out_what_is_not_new_makes_no_difference(known: list[Fact], told: list[Fact], later_s: int) -> None:
    seen = [replace(each, at=each.at + timedelta(seconds=later_s)) for each in told]

    assert fold(PAYMENT, [*known, *news(known, seen)]) == fold(PAYMENT, [*known, *seen])


FACTS = st.lists(st.sampled_from(HISTORY), max_size=20)


@given(first=FACTS, second=FACTS)
def test_what_comes_twice_or_in_any_order_adds_nothing(first: list[Fact], second: list[Fact]) -> None:
    assert fold(PAYMENT, first + second) == fold(PAYMENT, second + first) == fold(PAYMENT, [*first, *second, *first])


def test_a_refund_that_failed_gave_nothing_back_in_whatever_order_that_is_told() -> None:
    """The one thing that takes something back: the provider may say so days after it had said that all was well."""
    history = [
        HISTORY[4],
        fact(FactKind.REFUNDED, 8, amount=300, reference="re_1"),
        fact(FactKind.REFUNDED, 8, amount=200, reference="re_2"),
        fact(FactKind.REFUND_FAILED, 9, amount=300, reference="re_1"),
        fact(FactKind.REFUNDED, 10, amount=300, reference="re_1"),
    ]

    assert {fold(PAYMENT, order).refunded_minor for order in permutations([*history, history[3]])} == {200}
    assert fold(PAYMENT, history[:3]).refunded_minor == 500
    assert news(history, [history[3]]) == []


@given(known=FACTS)
def test_money_that_was_taken_is_never_untaken(known: list[Fact]) -> None:
    assert fold(PAYMENT, [*known, HISTORY[4]]).card is Card.CAPTURED


def test_a_late_decline_of_an_earlier_attempt_changes_nothing() -> None:
    assert fold(PAYMENT, [HISTORY[3], HISTORY[2]]).card is Card.AUTHORIZED
    assert fold(PAYMENT, [fact(FactKind.PROCESSING, 4), HISTORY[2]]).card is Card.PROCESSING


def test_the_same_charge_told_of_at_two_times_is_taken_once() -> None:
    again = fact(FactKind.CAPTURED, 7, amount=1000)

    assert fold(PAYMENT, [HISTORY[4], again]).captured_minor == 1000


def test_without_facts_a_payment_stands_as_it_did() -> None:
    assert fold(PAYMENT, []).card is Card.ASKED


@pytest.mark.parametrize(
    "strange",
    [
        fact(FactKind.CAPTURED, 6, amount=999),
        fact(FactKind.CAPTURED, 6, amount=1000, currency="USD"),
        fact(FactKind.AUTHORIZED, 6, amount=1001),
    ],
)
def test_money_that_does_not_fit_puts_the_payment_in_quarantine_for_good(strange: Fact) -> None:
    standing = fold(PAYMENT, [strange])
    quarantined = with_standing(PAYMENT, standing)

    assert standing.mismatch
    assert quarantined.quarantined
    assert with_standing(quarantined, fold(PAYMENT, [HISTORY[4]])).quarantined


MOMENTS = range(3)
ANY = [fact(kind, second, amount=1000, reference="x") for kind in FactKind for second in MOMENTS]


def test_what_adds_nothing_never_makes_a_difference_whatever_else_is_known_or_comes() -> None:
    """All of two known facts, one that comes later, and a message in between."""
    opened = [fact(FactKind.OPENED, second, reference="x") for second in MOMENTS]
    skipped = 0
    for known in (some for count in range(3) for some in combinations(ANY, count)):
        for told in opened:
            if adds_nothing(known, [told]):
                skipped += 1
                for later in ((), *((one,) for one in ANY)):
                    assert fold(PAYMENT, [*known, told, *later]) == fold(PAYMENT, [*known, *later])
    assert skipped > 100


def test_only_that_it_waits_to_be_confirmed_can_add_nothing_and_only_where_as_much_is_known() -> None:
    opened = fact(FactKind.OPENED, 1)

    assert adds_nothing([opened], [opened])
    assert adds_nothing([], [])
    assert not adds_nothing([], [opened])
    assert not adds_nothing([fact(FactKind.OPENED, 0)], [opened])
    assert not adds_nothing([fact(FactKind.REFUNDED, 2)], [opened])
    for kind in set(FactKind) - {FactKind.OPENED}:
        assert not adds_nothing([fact(kind, 1)], [fact(kind, 1)]), "whoever recorded it may have died before what follows"
