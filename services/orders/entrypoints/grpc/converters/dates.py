"""Days as the contract carries them: google.type.Date."""

from __future__ import annotations

from datetime import date
from typing import Protocol

from shared.errors import FieldViolation, InvalidRequest


class DateMessage(Protocol):
    """A google.type.Date."""

    year: int
    month: int
    day: int


def day_of(message: DateMessage, field: str) -> date:
    """Returns the day of a request's field. Raises InvalidRequest if it is none; a month or a year alone is none either."""
    try:
        return date(message.year, message.month, message.day)
    except ValueError as error:
        raise InvalidRequest(f"{field}: is not a date", violations=[FieldViolation(field, "is not a date")]) from error


def date_fields(day: date) -> dict[str, int]:
    """Returns what the constructors of messages take for a google.type.Date."""
    return {"year": day.year, "month": day.month, "day": day.day}
