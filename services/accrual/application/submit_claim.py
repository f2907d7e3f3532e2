"""Claims an order number for a customer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.accrual.application.ports import Submissions
from services.accrual.domain.claims import Claim
from services.accrual.domain.errors import ClaimedByAnother, OrderNumberInvalid, TooManyPendingClaims
from services.accrual.domain.submission import Outcome, Submission
from shared.luhn import is_luhn_valid
from shared.requests import RequestKey


@dataclass(frozen=True, slots=True)
class Submitted:
    """The claim, and whether this request made it."""

    claim: Claim
    created: bool


class SubmitClaim:
    """`on_new` is called after a claim was made: a poller in this process need not wait for its next round."""

    def __init__(self, submissions: Submissions, *, pending_max: int, on_new: Callable[[], None]) -> None:
        self._submissions = submissions
        self._pending_max = pending_max
        self._on_new = on_new

    async def __call__(self, customer: str, number: str, key: RequestKey) -> Submitted:
        """Raises OrderNumberInvalid, ClaimedByAnother, TooManyPendingClaims, RequestIdReused."""
        if not is_luhn_valid(number):
            raise OrderNumberInvalid
        outcome, claim = await self._submissions.submit(Submission(customer, number, key, self._pending_max))
        if outcome is Outcome.TOO_MANY_PENDING:
            raise TooManyPendingClaims(self._pending_max)
        if outcome is Outcome.CREATE:
            self._on_new()
        return Submitted(accepted(outcome, claim), outcome.made_claim)


def accepted(outcome: Outcome, claim: Claim | None) -> Claim:
    """Returns the claim of an outcome that has one. Raises ClaimedByAnother."""
    if outcome is Outcome.CLAIMED_BY_ANOTHER:
        raise ClaimedByAnother
    assert claim is not None
    return claim
