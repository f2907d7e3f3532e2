"""What schedules demand of prescriptions, and what a prescription allows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest
from galen.orders.v1 import medicine_pb2

from services.orders.domain.errors import (
    PrescriptionExpired,
    PrescriptionInvalid,
    PrescriptionMismatch,
    PrescriptionNotFound,
    PrescriptionUsedUp,
)
from services.orders.domain.prescriptions.prescription import Paper, Prescription, check_use, parse_name, recorded, revoked
from services.orders.domain.prescriptions.rules import RULES, months_after
from tests.orders.world import NOW, a_prescription

TODAY = NOW.date()
NOT_CONTROLLED, II, III, IV, V = range(5)


def record(*, schedules: Sequence[int] = (0,), refills: int = 0, issued_on: date = TODAY, expires_on: date | None = None) -> Prescription:
    paper = Paper(number="7", prescriber="Dr. Quinn", issued_on=issued_on, expires_on=expires_on, refills=refills, skus=("A",))
    return recorded(uuid4(), "ann", paper, schedules, "customers/ann", NOW)


def test_there_is_a_rule_for_each_schedule_of_the_contract() -> None:
    assert sorted(RULES) == sorted(medicine_pb2.Schedule.values()) == [NOT_CONTROLLED, II, III, IV, V]


@pytest.mark.parametrize(
    ("schedules", "most"),
    [([NOT_CONTROLLED], 99), ([II], 0), ([III], 5), ([IV], 5), ([V], 99), ([NOT_CONTROLLED, V, IV], 5), ([III, II], 0)],
)
def test_a_prescription_is_refilled_as_often_as_the_strictest_of_its_medicines_allows(schedules: list[int], most: int) -> None:
    assert record(schedules=schedules, refills=most).refills == most
    if most < 99:
        with pytest.raises(PrescriptionInvalid, match=f"allows {most} refills"):
            record(schedules=schedules, refills=most + 1)


@pytest.mark.parametrize(
    ("schedules", "months"), [([NOT_CONTROLLED], 12), ([II], 12), ([III], 6), ([IV], 6), ([V], 12), ([NOT_CONTROLLED, III], 6)]
)
def test_without_a_last_day_a_prescription_lasts_a_year_or_as_long_as_its_schedules_let_it(schedules: list[int], months: int) -> None:
    assert record(schedules=schedules).expires_on == months_after(TODAY, months)


@pytest.mark.parametrize("schedule", [III, IV])
def test_schedules_iii_and_iv_last_six_months_from_the_day_of_issue_at_most(schedule: int) -> None:
    issued_on = TODAY - timedelta(days=20)
    most = months_after(issued_on, 6)

    assert record(schedules=[schedule], issued_on=issued_on, expires_on=most).expires_on == most
    with pytest.raises(PrescriptionInvalid, match="allows 6 months"):
        record(schedules=[schedule], issued_on=issued_on, expires_on=most + timedelta(days=1))


@pytest.mark.parametrize("schedule", [NOT_CONTROLLED, II, V])
def test_other_prescriptions_last_as_long_as_they_say(schedule: int) -> None:
    assert record(schedules=[schedule], expires_on=date(9999, 12, 31)).expires_on == date(9999, 12, 31)


def test_a_prescription_is_not_from_the_future_and_does_not_end_before_it_begins() -> None:
    with pytest.raises(PrescriptionInvalid, match="future"):
        record(issued_on=TODAY + timedelta(days=1))
    with pytest.raises(PrescriptionInvalid, match="before"):
        record(expires_on=TODAY - timedelta(days=1))
    assert record(expires_on=TODAY).expires_on == TODAY


@pytest.mark.parametrize(
    ("day", "months", "after"),
    [
        (date(2026, 1, 15), 6, date(2026, 7, 15)),
        (date(2026, 8, 31), 6, date(2027, 2, 28)),
        (date(2027, 8, 31), 6, date(2028, 2, 29)),
        (date(2028, 2, 29), 12, date(2029, 2, 28)),
        (date(2026, 12, 31), 6, date(2027, 6, 30)),
        (date(2026, 6, 30), 6, date(2026, 12, 30)),
        (date(1, 1, 1), 12, date(2, 1, 1)),
    ],
)
def test_months_end_on_the_same_day_or_the_last_of_the_month(day: date, months: int, after: date) -> None:
    assert months_after(day, months) == after


def test_a_prescription_is_used_on_its_last_day_and_not_after_it() -> None:
    prescription = a_prescription(skus=("A", "B"), expires_on=TODAY)

    check_use(prescription, "B", TODAY)
    with pytest.raises(PrescriptionExpired) as error:
        check_use(prescription, "B", TODAY + timedelta(days=1))
    assert error.value.metadata == {"prescription": prescription.name}


def test_a_prescription_is_used_once_and_once_more_for_each_refill() -> None:
    check_use(a_prescription(skus=("A",), refills=2, uses=2, expires_on=TODAY), "A", TODAY)
    with pytest.raises(PrescriptionUsedUp) as error:
        check_use(a_prescription(skus=("A",), refills=2, uses=3, expires_on=TODAY), "A", TODAY)
    assert error.value.metadata["uses"] == "3"


def test_a_prescription_is_used_for_its_own_medicines_only() -> None:
    with pytest.raises(PrescriptionMismatch) as error:
        check_use(a_prescription(skus=("A",), expires_on=TODAY), "B", TODAY)
    assert error.value.metadata["sku"] == "B"


def test_a_revoked_prescription_is_not_used_and_stays_as_it_was_revoked() -> None:
    prescription = a_prescription(skus=("A",), expires_on=TODAY)

    once = revoked(prescription, "customers/phil", "forged", NOW)
    again = revoked(once, "customers/eve", "lost", datetime(2030, 1, 1, tzinfo=UTC))

    assert (once.revoked_by, once.revoke_reason, once.version) == ("customers/phil", "forged", prescription.version + 1)
    assert again == once
    with pytest.raises(PrescriptionExpired):
        check_use(once, "A", TODAY)


def test_a_prescription_has_one_name() -> None:
    prescription = a_prescription()

    assert parse_name(prescription.name) == (prescription.customer_id, prescription.id)
    for other in (str(prescription.id).upper() + "A", prescription.id.hex, "7", "{" + str(prescription.id) + "}"):
        with pytest.raises(PrescriptionNotFound):
            parse_name(f"customers/{prescription.customer_id}/prescriptions/{other}")
