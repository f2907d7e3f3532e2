"""What the schedules of medicines demand of prescriptions, as data: the law differs from country to country, these are those of the US.

Schedule II is never refilled; III and IV at most five times, within six months of the day of issue (21 CFR 1306.12 and 1306.22).
"""

from __future__ import annotations

import calendar
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from services.orders.domain.errors import PrescriptionInvalid

MONTHS_DEFAULT = 12


@dataclass(frozen=True, slots=True)
class ScheduleRule:
    """How often a prescription may be refilled and how many months it lasts, at most; None where that is the prescriber's to say."""

    label: str
    refills_max: int | None = None
    months_max: int | None = None


# By the numbers of galen.orders.v1.Schedule.
RULES = {
    0: ScheduleRule("not controlled"),
    1: ScheduleRule("schedule II", refills_max=0),
    2: ScheduleRule("schedule III", refills_max=5, months_max=6),
    3: ScheduleRule("schedule IV", refills_max=5, months_max=6),
    4: ScheduleRule("schedule V"),
}


def check_refills(refills: int, schedules: Collection[int]) -> None:
    """Raises PrescriptionInvalid if a medicine of one of these schedules may not be refilled that often."""
    for rule in _rules(schedules):
        if rule.refills_max is not None and refills > rule.refills_max:
            raise PrescriptionInvalid(f"{rule.label} allows {rule.refills_max} refills at most")


def last_day(issued_on: date, asked_for: date | None, schedules: Collection[int], today: date) -> date:
    """Returns the last day of a prescription for medicines of these schedules, the one that was asked for if it is allowed.

    Raises PrescriptionInvalid.
    """
    if issued_on > today:
        raise PrescriptionInvalid("issue_date is in the future")
    limits = [(rule.months_max, rule.label) for rule in _rules(schedules) if rule.months_max is not None]
    if asked_for is None:
        return months_after(issued_on, min([months for months, _ in limits], default=MONTHS_DEFAULT))
    if asked_for < issued_on:
        raise PrescriptionInvalid("expire_date is before issue_date")
    for months, label in limits:
        if asked_for > months_after(issued_on, months):
            raise PrescriptionInvalid(f"{label} allows {months} months at most")
    return asked_for


def months_after(day: date, months: int) -> date:
    """Returns the same day of a later month, or the last day of that month if it is shorter."""
    years, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, month + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def _rules(schedules: Collection[int]) -> list[ScheduleRule]:
    return [RULES[schedule] for schedule in sorted(set(schedules))]
