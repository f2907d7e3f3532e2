"""The rules of claims that need nothing but a claim."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from galen.balance.v1 import balance_service_pb2
from protovalidate import Validator

from services.accrual.domain.backoff import BackOff
from services.accrual.domain.claims import ACCRUAL_MAX, NOT_REGISTERED, UNDER_WAY, Answer, Claim, State, seen_state

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLAIM = Claim("18", "ann", State.PROCESSING, 100, None, NOW, NOW)


def test_the_largest_accrual_can_be_credited() -> None:
    """What balance takes in one credit stands in its contract; accrual must not accept more, or the points could never be settled."""
    request = balance_service_pb2.CreditPointsRequest(
        account=CLAIM.account, amount=ACCRUAL_MAX, reference="1" * 255, request_id=str(CLAIM.credit_request_id)
    )

    assert Validator().collect_violations(request) == []


def test_the_credits_id_is_the_claims_own_and_never_changes() -> None:
    assert CLAIM.credit_request_id == replace(CLAIM, state=State.PROCESSED, accrual=5).credit_request_id
    assert CLAIM.credit_request_id != replace(CLAIM, customer="bob").credit_request_id
    assert CLAIM.credit_request_id != replace(CLAIM, number="26").credit_request_id
    assert str(CLAIM.credit_request_id) == "474e9914-a90f-511c-9909-8fe23c2f4305", "changing it would credit claims twice"


def test_what_a_claim_earned_is_shown_only_when_it_is_in_the_balance() -> None:
    assert CLAIM.earned is None
    assert replace(CLAIM, state=State.PROCESSED).earned == 100


def test_a_claim_never_goes_back() -> None:
    assert seen_state(State.NEW, NOT_REGISTERED) is State.NEW
    assert seen_state(State.NEW, UNDER_WAY) is State.PROCESSING
    assert seen_state(State.PROCESSING, NOT_REGISTERED) is State.PROCESSING


def test_points_are_owed_only_by_a_processed_order_that_earned_some() -> None:
    assert Answer(State.PROCESSED, 1).owes_points
    assert not Answer(State.PROCESSED, None).owes_points
    assert not Answer(State.INVALID).owes_points


def test_polls_are_quick_at_first_and_rare_later_and_never_end() -> None:
    back_off = BackOff(first_s=1, longest_s=60)

    assert [back_off.delay_s(attempts, 0.5) for attempts in (1, 2, 3, 7, 1_000_000)] == [0.5, 1, 2, 30, 30]


def test_the_whole_delay_is_drawn_and_never_nothing() -> None:
    back_off = BackOff(first_s=1, longest_s=60)

    assert back_off.delay_s(3, 0.999) == pytest.approx(3.996)
    assert back_off.delay_s(3, 0.0) == pytest.approx(0.4)
