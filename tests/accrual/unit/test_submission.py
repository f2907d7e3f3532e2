"""Who gets an order number, decided on what was loaded."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from services.accrual.domain.claims import Claim, State
from services.accrual.domain.submission import Found, Outcome, Submission, decide
from shared.requests import RequestKey

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)
MINE = Claim("18", "ann", State.PROCESSED, 100, "programs/main/accounts/ann/operations/1", NOW, LATER)
KEY = RequestKey("customers/ann", uuid4(), b"content")
SUBMISSION = Submission("ann", "18", KEY, pending_max=2)


def test_a_free_number_is_given_away() -> None:
    assert decide(SUBMISSION, Found(None, 1)) == (Outcome.CREATE, None)


def test_a_claim_that_exists_is_answered_before_the_limit_is_looked_at() -> None:
    assert decide(SUBMISSION, Found(MINE, 2)) == (Outcome.ALREADY_YOURS, MINE)
    assert decide(SUBMISSION, Found(replace(MINE, customer="bob"), 2)) == (Outcome.CLAIMED_BY_ANOTHER, None)


def test_no_more_claims_than_the_limit_may_be_unfinished() -> None:
    assert decide(SUBMISSION, Found(None, 2)) == (Outcome.TOO_MANY_PENDING, None)
    assert decide(replace(SUBMISSION, pending_max=None), Found(None, 2)) == (Outcome.CREATE, None)
