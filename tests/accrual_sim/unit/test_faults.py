"""The schedule of faults: who is hit, how often, and what a bad schedule says."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.accrual_sim.faults import Fault, FaultKind, FaultSchedule, Operation, RetryAfterForm, fault_from
from deploy.local.simulation.documents import BadRequest, parse_json

ERROR, SLOW, DROP = FaultKind.INTERNAL_ERROR, FaultKind.SLOW, FaultKind.DROP
GET, POST = Operation.GET_ORDER, Operation.POST_ORDER


def schedule_of(*faults: Fault) -> FaultSchedule:
    schedule = FaultSchedule(chance=random.Random(1))
    schedule.replace(faults)
    return schedule


def hits(schedule: FaultSchedule, operation: Operation = GET, order: str | None = "18") -> FaultKind | None:
    fault = schedule.take(operation, order)
    return fault.kind if fault else None


def test_a_fault_hits_its_operation_and_its_order_only() -> None:
    schedule = schedule_of(Fault(ERROR, order="18"))
    assert hits(schedule) is ERROR
    assert hits(schedule, order="26") is None
    assert hits(schedule, operation=POST) is None


def test_a_fault_without_order_hits_all_and_without_times_for_ever() -> None:
    schedule = schedule_of(Fault(ERROR))
    assert {hits(schedule, order=str(number)) for number in range(100)} == {ERROR}


def test_the_first_fault_that_applies_wins_until_its_times_are_used_up() -> None:
    schedule = schedule_of(Fault(ERROR, times=2), Fault(SLOW, order="18", times=1), Fault(DROP, order="26"))
    assert [hits(schedule) for _ in range(4)] == [ERROR, ERROR, SLOW, None]
    assert [line.fired for line in schedule.scheduled] == [2, 1, 0]


def test_a_new_schedule_replaces_the_old_one_with_its_counts() -> None:
    schedule = schedule_of(Fault(ERROR))
    hits(schedule)
    schedule.replace([])
    assert hits(schedule) is None
    assert schedule.scheduled == ()


@given(st.floats(0.1, 0.9))
def test_a_probable_fault_hits_about_as_often_as_said(probability: float) -> None:
    schedule = schedule_of(Fault(ERROR, probability=probability))
    hit = sum(hits(schedule) is ERROR for _ in range(1000))
    assert abs(hit - 1000 * probability) < 100


def test_every_field_is_read() -> None:
    document = parse_json(
        b'{"kind": "too_many_requests", "operation": "post_order", "order": "18", "times": 3, "probability": 0.5, "after": true,'
        b' "delay_s": 0.25, "retry_after_s": 7, "retry_after_form": "date", "size_bytes": 100}'
    )
    assert fault_from(document) == Fault(FaultKind.TOO_MANY_REQUESTS, POST, "18", 3, 0.5, True, 0.25, 7, RetryAfterForm.DATE, 100)


def test_only_the_kind_is_needed() -> None:
    assert fault_from({"kind": "slow"}) == Fault(SLOW)


@pytest.mark.parametrize(
    "document",
    [
        b"{}",
        b"[]",
        b'{"kind": "explode"}',
        b'{"kind": 1}',
        b'{"kind": "slow", "time": 3}',
        b'{"kind": "slow", "times": 0}',
        b'{"kind": "slow", "times": 1.5}',
        b'{"kind": "slow", "times": true}',
        b'{"kind": "slow", "probability": 1.1}',
        b'{"kind": "slow", "delay_s": 1e999999}',
        b'{"kind": "slow", "after": 1}',
        b'{"kind": "slow", "operation": "delete"}',
        b'{"kind": "slow", "retry_after_form": "soon"}',
        b'{"kind": "huge_body", "size_bytes": 1e12}',
        b'{"kind": "slow", "order": 18}',
    ],
)
def test_a_schedule_with_a_mistake_is_refused(document: bytes) -> None:
    with pytest.raises(BadRequest):
        fault_from(parse_json(document))
