"""Refunds share out what was paid: whatever the sequence, the parts sum to the whole and none is given twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orders.domain.errors import RefundNotPossible
from services.orders.domain.ordering.model import Order, PointsState, State
from services.orders.domain.payments.changes import card_awaited, card_given, card_refused, completed, given_back, take_back_decided
from services.orders.domain.payments.model import Payment, Refund
from services.orders.domain.payments.refunding import (
    acting_for,
    given_by,
    may_earn_later,
    points_to_take_back,
    refund_amount,
    refund_card,
    refund_lines,
    split_refund,
)
from shared.errors import AccessDenied
from tests.orders.unit.ordering.orders import OWNER, a_line, an_order, caller
from tests.orders.unit.payments.outside import START, a_payment

AMOUNTS = st.integers(0, 100_000)


def refunded(payment: Payment, refunds: Sequence[Refund], amount_minor: int) -> Refund:
    """The next refund of an amount."""
    number = len(refunds) + 1
    now = START + timedelta(seconds=number)
    return refund_amount(payment, given_by(refunds), amount_minor, refund_id=UUID(int=number), reason="r", now=now)


def through(refund: Refund, taken_back: int) -> Refund:
    """A refund of which everything went well."""
    return completed(take_back_decided(replace(refund, card_done=True, points_done=True), taken_back), START)


def test_a_refund_that_fails_at_last_leaves_its_card_share_to_be_given_again_but_not_its_points() -> None:
    payment = a_payment(card_minor=700, points_minor=300)
    first = refunded(payment, [], 500)
    assert (first.card_minor, first.points_minor) == (350, 150)
    failed = card_refused(through(first, points_to_take_back(first, [first], 100)), "re_1", "")
    assert (failed.points_taken_back_minor, failed.finished_at) == (50, None)

    again = refunded(payment, [failed], 0)

    assert (again.card_minor, again.points_minor) == (700, 150)
    assert points_to_take_back(again, [failed, again], 100) == 50


def test_what_was_taken_back_for_a_refund_that_failed_is_not_taken_twice() -> None:
    payment = a_payment(card_minor=1000, points_minor=0)
    first = refunded(payment, [], 500)
    failed = card_refused(through(first, points_to_take_back(first, [first], 100)), "re_1", "")

    again, rest = refunded(payment, [failed], 500), refunded(payment, [failed], 1000)

    assert failed.points_taken_back_minor == 50
    assert points_to_take_back(again, [failed, again], 100) == 0
    assert points_to_take_back(rest, [failed, rest], 100) == 50


def test_of_what_the_order_never_cost_that_failed_to_go_back_nothing_is_taken_back_when_it_is_given_again() -> None:
    asked = a_payment(card_minor=100, points_minor=50)
    payment = replace(asked, captured_minor=120, accepted_minor=120)
    surplus = refund_card(payment, 20, "EUR", refund_id=UUID(int=9), reason="", now=START, is_surplus=True)
    failed = card_refused(surplus, "re_1", "lost")

    again, all_that_is_left = refunded(payment, [failed], 20), refunded(payment, [failed], 0)
    units = refund_lines(an_order(), payment, given_by([failed]), {"IBU-400": 1}, refund_id=UUID(int=8), reason="", now=START)

    assert (again.card_minor, again.points_minor, again.take_back_share) == (20, 0, (0, 150))
    assert (all_that_is_left.card_minor, all_that_is_left.points_minor, all_that_is_left.take_back_share) == (120, 50, (150, 150))
    assert units.take_back_share[0] == units.amount_minor
    rest = refunded(payment, [failed, again], 0)
    assert (rest.card_minor, rest.points_minor, rest.take_back_share) == (100, 50, (150, 150))
    # Before it failed it was none of what can be given.
    assert refunded(payment, [surplus], 30).take_back_share == (30, 150)


@pytest.mark.parametrize(("was_through", "points"), [(True, 150), (False, 0)])
def test_points_that_may_be_on_their_way_when_the_card_share_fails_are_not_given_twice(was_through: bool, points: int) -> None:
    payment = a_payment(card_minor=700, points_minor=300)
    first = refunded(payment, [], 500)
    failed = card_refused(replace(first, card_done=was_through), "re_1", "lost")

    assert given_by([failed]).points_minor == points
    assert refunded(payment, [failed], 0).points_minor == 300 - points


def test_what_failed_is_not_through_whoever_says_so_later() -> None:
    failed = card_refused(refunded(a_payment(), [], 500), "re_1", "lost_or_stolen_card")

    for late in (card_given(failed, "re_1"), card_awaited(failed, "re_2"), given_back(failed, START), completed(failed, START)):
        assert late == failed


@given(refund=AMOUNTS, card=AMOUNTS, points=AMOUNTS)
def test_the_shares_of_a_refund_sum_to_it_and_exceed_nothing_that_is_left(refund: int, card: int, points: int) -> None:
    refund = min(refund, card + points)

    card_share, points_share = split_refund(refund, card_left=card, points_left=points)

    assert card_share + points_share == refund
    assert 0 <= card_share <= card
    assert 0 <= points_share <= points


@given(card=AMOUNTS, points=AMOUNTS, wanted=st.lists(st.tuples(st.integers(1, 100_000), st.booleans()), max_size=12))
def test_any_sequence_of_refunds_gives_back_exactly_what_was_paid(card: int, points: int, wanted: list[tuple[int, bool]]) -> None:
    payment = a_payment(card_minor=card, points_minor=points or 1)
    refunds: list[Refund] = []
    for amount, fails in wanted:
        left = payment.total_minor - given_by(refunds).amount_minor
        if amount > left:
            with pytest.raises(RefundNotPossible) as refused:
                refunded(payment, refunds, amount)
            assert refused.value.metadata == {"refundable": str(left)}
            continue
        refund = refunded(payment, refunds, amount)
        refunds.append(card_refused(refund, "re", "lost") if fails else refund)
    if given_by(refunds).amount_minor < payment.total_minor:
        refunds.append(refunded(payment, refunds, 0))

    given_back = given_by(refunds)
    assert (given_back.card_minor, given_back.points_minor) == (payment.card_minor, payment.points_minor)
    with pytest.raises(RefundNotPossible):
        refunded(payment, refunds, 0)


@given(
    earned=st.integers(0, 10**9),
    parts=st.lists(st.integers(1, 1000), min_size=1, max_size=10),
    decisions=st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=30),
)
def test_what_is_taken_back_sums_to_what_was_earned_in_whatever_order_it_is_decided(
    earned: int, parts: list[int], decisions: list[tuple[int, bool]]
) -> None:
    payment = a_payment(card_minor=sum(parts), points_minor=0)
    refunds: list[Refund] = []
    for part in parts:
        refunds.append(refunded(payment, refunds, part))
    for number, goes_on in [*decisions, *((place, True) for place in range(len(parts)))]:
        place = number % len(parts)
        before = refunds[place]
        decided = take_back_decided(before, points_to_take_back(before, refunds, earned))
        # Decided again after a crash, it is the same: the ledger was asked under the same request id.
        if before.points_taken_back_minor:
            assert decided == before
        refunds[place] = completed(decided, START) if goes_on else decided

    taken = [refund.points_taken_back_minor for refund in refunds]
    assert sum(taken) == earned
    assert min(taken) >= 0


@given(earned=st.integers(0, 10**6), part=st.integers(1, 999))
def test_a_refund_that_fails_after_a_later_one_was_decided_takes_no_points_with_it(earned: int, part: int) -> None:
    """The other two take all back between them: shares counted up by creation came to one point more than was earned."""
    payment = a_payment(card_minor=1000, points_minor=0)
    first = refunded(payment, [], part)
    second = refunded(payment, [first], 1000 - part)
    second = completed(take_back_decided(second, points_to_take_back(second, [first, second], earned)), START)
    first = card_refused(first, "re", "lost")
    third = refunded(payment, [first, second], part)
    third = completed(take_back_decided(third, points_to_take_back(third, [first, second, third], earned)), START)

    assert second.points_taken_back_minor + third.points_taken_back_minor == earned


def two_lines(**prices: int) -> Order:
    return an_order(lines=tuple(a_line(sku, 3, unit_price_minor=price) for sku, price in prices.items()))


def of_lines(order: Order, payment: Payment, refunds: Sequence[Refund], quantities: dict[str, int]) -> Refund:
    return refund_lines(order, payment, given_by(refunds), quantities, refund_id=UUID(int=9), reason="r", now=START)


@given(prices=st.tuples(st.integers(1, 999), st.integers(1, 999)), points=st.integers(0, 100), units=st.lists(st.sampled_from("AB")))
def test_units_one_by_one_give_back_the_whole_and_no_unit_twice(prices: tuple[int, int], points: int, units: list[str]) -> None:
    order = two_lines(A=prices[0], B=prices[1])
    points_minor = order.subtotal_minor * points // 100
    payment = a_payment(card_minor=order.subtotal_minor - points_minor, points_minor=points_minor)
    refunds: list[Refund] = []
    for sku in [*units, *"AAABBB"]:
        if given_by(refunds).quantities.get(sku, 0) == 3:
            with pytest.raises(RefundNotPossible):
                of_lines(order, payment, refunds, {sku: 1})
        else:
            refunds.append(of_lines(order, payment, refunds, {sku: 1}))

    assert [refund.amount_minor for refund in refunds].count(0) == 0
    assert (given_by(refunds).card_minor, given_by(refunds).points_minor) == (payment.card_minor, payment.points_minor)


@pytest.mark.parametrize("quantities", [{"A": 4}, {"C": 1}, {"A": 1, "C": 1}, {"FREE": 1}])
def test_units_that_were_not_bought_or_cost_nothing_give_nothing_back(quantities: dict[str, int]) -> None:
    order = two_lines(A=100, B=200, FREE=0)

    with pytest.raises(RefundNotPossible):
        of_lines(order, a_payment(card_minor=900, points_minor=0), [], quantities)


def test_units_after_an_amount_give_back_no_more_than_is_left() -> None:
    order, payment = two_lines(A=100), a_payment(card_minor=300, points_minor=0)
    first = refunded(payment, [], 250)

    assert of_lines(order, payment, [first], {"A": 1}).amount_minor == 50


@pytest.mark.parametrize(
    ("state", "points", "later"),
    [
        (State.PAID, PointsState.NOT_YET, True),
        (State.SHIPPED, PointsState.NOT_YET, True),
        (State.CANCELLED, PointsState.NOT_YET, False),
        (State.RETURNED, PointsState.NOT_YET, False),
        (State.COMPLETED, PointsState.PENDING, False),
        (State.COMPLETED, PointsState.GRANTED, False),
    ],
)
def test_points_that_may_come_later_are_waited_for(state: State, points: PointsState, later: bool) -> None:
    assert may_earn_later(an_order(state, points_state=points)) is later


def test_a_refund_is_given_in_a_role_that_the_caller_has_for_the_order() -> None:
    assert acting_for(an_order(), caller("staff")).name == "customers/stan"
    with pytest.raises(AccessDenied):
        acting_for(an_order(), caller("customer"))
    assert acting_for(an_order(), caller("customer", name=OWNER)).name == OWNER


def test_a_refund_of_a_payment_that_gave_all_back_says_that_nothing_is_left() -> None:
    payment = a_payment()
    everything = refunded(payment, [], 0)

    with pytest.raises(RefundNotPossible) as refused:
        refunded(payment, [everything], 1)

    assert refused.value.metadata == {"refundable": "0"}


def test_what_the_provider_gave_back_without_us_is_not_given_again() -> None:
    payment = replace(a_payment(card_minor=700, points_minor=300), captured_minor=700, refunded_minor=200)

    with pytest.raises(RefundNotPossible) as refused:
        refunded(payment, [], 801)
    assert refused.value.metadata == {"refundable": "800"}
    every = refunded(payment, [], 0)
    assert (every.card_minor, every.points_minor) == (500, 300)


@pytest.mark.parametrize("is_recorded", [True, False])
def test_what_we_gave_back_counts_once_whether_its_message_or_its_answer_was_first(is_recorded: bool) -> None:
    payment = a_payment(card_minor=700, points_minor=0)
    first = refunded(payment, [], 300)
    told = replace(payment, captured_minor=700, refunded_minor=300)

    rest = refunded(told, [through(first, 0) if is_recorded else first], 0)

    assert rest.card_minor == 400


def test_a_surplus_that_failed_to_go_back_is_none_any_more_once_somebody_gave_it_at_the_provider() -> None:
    accepted = replace(a_payment(card_minor=499, points_minor=0), captured_minor=600, accepted_minor=600)
    surplus = refund_card(accepted, 101, "EUR", refund_id=UUID(int=9), reason="r", now=START, is_surplus=True)
    failed = card_refused(surplus, "re_9", "")
    assert refunded(accepted, [failed], 0).surplus_minor == 101

    rest = refunded(replace(accepted, refunded_minor=101), [failed], 0)

    assert (rest.card_minor, rest.surplus_minor) == (499, 0)


@given(card=AMOUNTS, points=AMOUNTS, elsewhere=AMOUNTS, wanted=st.lists(AMOUNTS, max_size=4))
def test_whatever_was_given_at_the_provider_both_together_never_exceed_what_was_taken(
    card: int, points: int, elsewhere: int, wanted: list[int]
) -> None:
    payment = a_payment(card_minor=card + 1, points_minor=points)
    gone, refunds = min(elsewhere, card + 1), list[Refund]()
    for amount in (*wanted, 0):
        ours = sum(refund.card_minor for refund in refunds)
        seen = replace(payment, captured_minor=card + 1, refunded_minor=gone + ours)
        try:
            refunds.append(through(refunded(seen, refunds, amount), 0))
        except RefundNotPossible:
            continue

    assert gone + sum(refund.card_minor for refund in refunds) == payment.card_minor
    assert sum(refund.points_minor for refund in refunds) == payment.points_minor
    assert all(refund.card_minor >= 0 and refund.points_minor >= 0 for refund in refunds)
