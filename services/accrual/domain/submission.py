"""Who gets an order number: the decision, made on what was loaded under the customer's lock. A repeat is answered before, without one."""

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
    """What was loaded: the claim of this number, and how many unfinished claims the customer has."""

    of_number: Claim | None
    pending: int


class Outcome(Enum):
    """What becomes of a submission. The last two: what became of this very request when it came first."""

    CREATE = auto()
    ALREADY_YOURS = auto()
    CLAIMED_BY_ANOTHER = auto()
    TOO_MANY_PENDING = auto()
    CREATED_BEFORE = auto()
    ALREADY_YOURS_BEFORE = auto()

    @property
    def is_repeat(self) -> bool:
        return self in (Outcome.CREATED_BEFORE, Outcome.ALREADY_YOURS_BEFORE)

    @property
    def made_claim(self) -> bool:
        """Whether the claim is of this request's making."""
        return self in (Outcome.CREATE, Outcome.CREATED_BEFORE)


def decide(submission: Submission, found: Found) -> tuple[Outcome, Claim | None]:
    """Returns the outcome, and the claim that is the answer if there is one already: that is answered before limits are looked at."""
    if found.of_number is not None:
        if found.of_number.customer != submission.customer:
            return Outcome.CLAIMED_BY_ANOTHER, None
        return Outcome.ALREADY_YOURS, found.of_number
    if submission.pending_max is not None and found.pending >= submission.pending_max:
        return Outcome.TOO_MANY_PENDING, None
    return Outcome.CREATE, None
