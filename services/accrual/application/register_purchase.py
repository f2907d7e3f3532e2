"""Tells the provider of a purchase, then claims its points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus

import structlog

from services.accrual.application.gate import Gate
from services.accrual.application.ports import (
    AccrualSystem,
    Good,
    ProviderFailed,
    ProviderSilenced,
    ProviderThrottled,
    Submissions,
)
from services.accrual.application.submit_claim import accepted
from services.accrual.domain.claims import Claim
from services.accrual.domain.errors import OrderNumberInvalid, PurchaseRefused
from services.accrual.domain.submission import Outcome, Submission
from shared.errors import Unavailable
from shared.luhn import is_luhn_valid
from shared.requests import RequestKey

log = structlog.get_logger()

REGISTERED = (HTTPStatus.ACCEPTED, HTTPStatus.CONFLICT)
FAILED_RETRY_S = 2.0


class RegisterPurchase:
    """Each step may be repeated: the provider says 409 to a purchase it knows, and a claim is made once.

    The number is looked up first, so that the goods of one customer are never registered under the number of another. A purchase is
    a fact: it is not counted against the customer's limit of unfinished claims.
    """

    def __init__(self, submissions: Submissions, system: AccrualSystem, gate: Gate, *, on_new: Callable[[], None]) -> None:
        self._submissions = submissions
        self._system = system
        self._gate = gate
        self._on_new = on_new

    async def __call__(self, customer: str, number: str, goods: Sequence[Good], key: RequestKey) -> Claim:
        """Raises OrderNumberInvalid, ClaimedByAnother, RequestIdReused, PurchaseRefused, Unavailable."""
        if not is_luhn_valid(number):
            raise OrderNumberInvalid
        submission = Submission(customer, number, key, pending_max=None)
        outcome, claim = await self._submissions.look_up(submission)
        if outcome.is_repeat or outcome is Outcome.CLAIMED_BY_ANOTHER:
            return accepted(outcome, claim)
        await self._register(number, goods)
        outcome, claim = await self._submissions.submit(submission)
        if outcome is Outcome.CREATE:
            self._on_new()
        return accepted(outcome, claim)

    async def _register(self, number: str, goods: Sequence[Good]) -> None:
        try:
            status = await self._gate.through("register", lambda: self._system.register(number, goods), str)
        except (ProviderSilenced, ProviderThrottled) as error:
            raise Unavailable("the outside accrual system is not asked now", retry_after_s=error.wait_s) from error
        except ProviderFailed as error:
            log.warning("purchase", number=number, outcome=error.kind, error=str(error))
            raise Unavailable("the outside accrual system does not answer", retry_after_s=FAILED_RETRY_S) from error
        log.info("purchase", number=number, outcome=status)
        if status not in REGISTERED:
            raise PurchaseRefused(status)
