"""Who gets an order number: the decision, made on what was loaded under the customer's lock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from services.accrual.domain.claims import Claim
from shared.requests import RequestKey


@dataclass(frozen=True, slots=True)
class Submission:
    """A wish to claim `number`. `pending_max` is how many unfinished claims the customer may have, None for any number."""

    customer: str
    number: str
    key: RequestKey
    pending_max: int | None


@dataclass(frozen=True, slots=True)
class Found:
    """What was loaded: the claim of this request with its fingerprint, the claim of this number, the customer's unfinished claims."""

    of_request: tuple[Claim, bytes] | None
    of_number: Claim | None
    pending: int


class Outcome(Enum):
    """What becomes of a submission."""

    CREATE = auto()
    CREATED_BEFORE = auto()
    ALREADY_YOURS = auto()
    CLAIMED_BY_ANOTHER = auto()
    REQUEST_ID_REUSED = auto()
    TOO_MANY_PENDING = auto()


def decide(submission: Submission, found: Found) -> tuple[Outcome, Claim | None]:
    """Returns the outcome, and the claim that is the answer if there is one already.

    A repeat is answered first, and a claim that exists before limits are looked at: neither may fail where the original succeeded.
    """
    if found.of_request is not None:
        claim, fingerprint = found.of_request
        if fingerprint != submission.key.fingerprint:
            return Outcome.REQUEST_ID_REUSED, None
        return Outcome.CREATED_BEFORE, claim.as_submitted()
    if found.of_number is not None:
        if found.of_number.customer != submission.customer:
            return Outcome.CLAIMED_BY_ANOTHER, None
        return Outcome.ALREADY_YOURS, found.of_number
    if submission.pending_max is not None and found.pending >= submission.pending_max:
        return Outcome.TOO_MANY_PENDING, None
    return Outcome.CREATE, None
