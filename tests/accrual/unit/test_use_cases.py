"""Submitting, registering and settling, with the ports faked."""

from __future__ import annotations

from uuid import uuid4

import pytest

from services.accrual.application.gate import Gate
from services.accrual.application.ports import Good, ProviderFailed, ProviderThrottled
from services.accrual.application.register_purchase import RegisterPurchase
from services.accrual.application.settle_claim import SettleClaim
from services.accrual.application.submit_claim import SubmitClaim
from services.accrual.domain.claims import State
from services.accrual.domain.errors import ClaimedByAnother, OrderNumberInvalid, PurchaseRefused, TooManyPendingClaims
from services.accrual.domain.provider import BreakerRules
from services.accrual.domain.submission import Outcome
from shared.errors import Unavailable
from shared.faults import Faults
from shared.requests import RequestKey
from tests.accrual.unit.fakes import FakeObserver, FakePoints, FakeRecord, FakeSettlements, FakeSubmissions, FakeSystem, claim

KEY = RequestKey("customers/ann", uuid4(), b"content")
GOODS = [Good("Kettle", 100)]
RULES = BreakerRules(failures_max=2, cool_down_s=5, cool_down_max_s=60, probe_s=10)


class Woken:
    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


@pytest.mark.parametrize(
    ("outcome", "created", "woken"),
    [
        (Outcome.CREATE, True, 1),
        (Outcome.CREATED_BEFORE, True, 0),
        (Outcome.ALREADY_YOURS, False, 0),
        (Outcome.ALREADY_YOURS_BEFORE, False, 0),
    ],
)
async def test_a_repeat_says_created_again_and_only_a_new_claim_wakes_the_poller(outcome: Outcome, created: bool, woken: int) -> None:
    wake = Woken()

    submitted = await SubmitClaim(FakeSubmissions(submitted=(outcome, claim())), pending_max=5, on_new=wake)("ann", "18", KEY)

    assert (submitted.claim, submitted.created, wake.times) == (claim(), created, woken)


@pytest.mark.parametrize(
    ("outcome", "error"),
    [(Outcome.CLAIMED_BY_ANOTHER, ClaimedByAnother), (Outcome.TOO_MANY_PENDING, TooManyPendingClaims)],
)
async def test_refusals(outcome: Outcome, error: type[Exception]) -> None:
    with pytest.raises(error):
        await SubmitClaim(FakeSubmissions(submitted=(outcome, None)), pending_max=5, on_new=Woken())("ann", "18", KEY)


async def test_a_number_that_fails_the_luhn_check_goes_nowhere() -> None:
    submissions, system = FakeSubmissions(), FakeSystem([202])

    with pytest.raises(OrderNumberInvalid):
        await SubmitClaim(submissions, pending_max=5, on_new=Woken())("ann", "19", KEY)
    with pytest.raises(OrderNumberInvalid):
        await registering(submissions, system)("ann", "19", GOODS, KEY)

    assert (submissions.submissions, system.registered) == ([], [])


def registering(submissions: FakeSubmissions, system: FakeSystem, record: FakeRecord | None = None) -> RegisterPurchase:
    gate = Gate(record or FakeRecord(), RULES, FakeObserver(), slots=1)
    return RegisterPurchase(submissions, system, gate, on_new=Woken())


@pytest.mark.parametrize("status", [202, 409])
async def test_a_purchase_that_the_provider_takes_or_knows_is_claimed(status: int) -> None:
    submissions, system = FakeSubmissions(submitted=(Outcome.CREATE, claim())), FakeSystem([status])

    assert await registering(submissions, system)("ann", "18", GOODS, KEY) == claim()

    assert system.registered == [("18", GOODS)]
    assert [submission.pending_max for submission in submissions.submissions] == [None], "a purchase is a fact, however many there are"


async def test_a_purchase_of_a_number_that_the_customer_has_claimed_already_is_registered_too() -> None:
    submissions = FakeSubmissions(looked_up=(Outcome.ALREADY_YOURS, claim()), submitted=(Outcome.ALREADY_YOURS, claim()))
    system = FakeSystem([202])

    assert await registering(submissions, system)("ann", "18", GOODS, KEY) == claim()
    assert len(system.registered) == 1


async def test_nothing_is_registered_for_a_request_that_can_not_succeed() -> None:
    system = FakeSystem([202])

    with pytest.raises(ClaimedByAnother):
        await registering(FakeSubmissions(looked_up=(Outcome.CLAIMED_BY_ANOTHER, None)), system)("ann", "18", GOODS, KEY)

    assert system.registered == []


@pytest.mark.parametrize("outcome", [Outcome.CREATED_BEFORE, Outcome.ALREADY_YOURS_BEFORE])
async def test_a_repeated_purchase_has_its_first_answer_without_asking_anybody(outcome: Outcome) -> None:
    system = FakeSystem([202])

    assert await registering(FakeSubmissions(looked_up=(outcome, claim())), system)("ann", "18", GOODS, KEY) == claim()
    assert system.registered == []


async def test_a_malformed_purchase_is_refused_and_not_claimed() -> None:
    submissions = FakeSubmissions()

    with pytest.raises(PurchaseRefused) as refused:
        await registering(submissions, FakeSystem([400]))("ann", "18", GOODS, KEY)

    assert (refused.value.metadata, submissions.submissions) == ({"status": "400"}, [])


@pytest.mark.parametrize(
    ("record", "reply", "retry_after_s"),
    [
        (FakeRecord(permit=42.0), 202, 42.0),
        (FakeRecord(), ProviderThrottled(60), 60.0),
        (FakeRecord(), ProviderFailed("timeout", ""), 2.0),
    ],
)
async def test_while_the_provider_can_not_be_told_the_caller_is_told_when_to_try_again(
    record: FakeRecord, reply: int | Exception, retry_after_s: float
) -> None:
    submissions = FakeSubmissions()

    with pytest.raises(Unavailable) as unavailable:
        await registering(submissions, FakeSystem([reply]), record)("ann", "18", GOODS, KEY)

    assert (unavailable.value.retry_after_s, submissions.submissions) == (retry_after_s, [])


async def test_settling_credits_the_stored_amount_then_publishes_with_the_operation() -> None:
    settlements, points = FakeSettlements(claim(state=State.PROCESSING, accrual=500)), FakePoints()

    await SettleClaim(settlements, points, FakeObserver(), Faults())("18")

    assert points.credited == [(claim().credit_request_id, 500)]
    assert settlements.published == [("18", "programs/main/accounts/ann/operations/1")]


async def test_a_claim_that_was_published_already_is_left_alone() -> None:
    settlements, points = FakeSettlements(None), FakePoints()

    await SettleClaim(settlements, points, FakeObserver(), Faults())("18")

    assert (points.credited, settlements.published) == ([], [])


async def test_a_credit_that_fails_is_counted_and_raised_so_that_the_job_is_repeated() -> None:
    settlements, observer = FakeSettlements(claim(state=State.PROCESSING, accrual=500)), FakeObserver()

    with pytest.raises(Unavailable):
        await SettleClaim(settlements, FakePoints(Unavailable()), observer, Faults())("18")

    assert (observer.credit_failures, settlements.published) == (["UNAVAILABLE"], [])
