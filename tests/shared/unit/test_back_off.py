"""When jobs are repeated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from procrastinate.jobs import Job

from shared.jobs.queue import BackOff, NotYet, ParkJob


def job(attempts: int) -> Job:
    return Job(id=1, queue="q", lock=None, queueing_lock=None, task_name="step", attempts=attempts)


def wait_s(attempts: int, error: BaseException) -> float:
    """Returns how long a job that is never given up waits after this failure."""
    before = datetime.now(UTC)
    decision = BackOff(None).get_retry_decision(exception=error, job=job(attempts))
    assert decision is not None
    assert decision.retry_at is not None
    return (decision.retry_at - before) / timedelta(seconds=1)


def test_pauses_grow_up_to_five_minutes() -> None:
    assert all(wait_s(0, OSError()) < 0.6 for _ in range(50))
    assert 10 < max(wait_s(30, OSError()) for _ in range(50)) < 301


@pytest.mark.parametrize("attempts", [0, 30])
def test_a_step_that_waits_for_something_is_not_repeated_before_the_time_that_it_names(attempts: int) -> None:
    assert min(wait_s(attempts, NotYet("later", after_s=40)) for _ in range(50)) >= 40
    assert max(wait_s(0, NotYet("soon")) for _ in range(50)) < 0.6


def test_a_job_is_parked_after_so_many_failures_or_when_its_step_says_so() -> None:
    back_off = BackOff(3)
    decisions = [back_off.get_retry_decision(exception=OSError(), job=job(attempts)) for attempts in range(3)]
    assert [decision is None for decision in decisions] == [False, False, True]
    assert back_off.get_retry_decision(exception=ParkJob(), job=job(0)) is None
