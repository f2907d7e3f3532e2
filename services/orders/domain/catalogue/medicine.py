"""Medicines: what they are, what they cost, and the rules for selling them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from services.orders.domain.etags import check_etag
from shared.errors import FieldViolation, InvalidRequest

PERIOD_RULE = "max_per_period and period_days go together"


@dataclass(frozen=True, slots=True, kw_only=True)
class Particulars:
    """What the pharmacy says of a medicine.

    `price_minor` is in the smallest unit of `currency`. `schedule` is the number of galen.orders.v1.Schedule, 0 for what is not
    controlled. A limit of 0 is none.
    """

    sku: str
    display_name: str
    form: str
    strength: str
    price_minor: int
    currency: str
    rx_required: bool
    schedule: int
    max_per_order: int
    max_per_period: int
    period_days: int
    min_remaining_shelf_days: int
    cold_chain: bool
    withdrawn: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Medicine(Particulars):
    """A medicine of the catalogue. `version` counts the changes."""

    version: int = 1
    created_at: datetime
    updated_at: datetime


_PARTICULARS = tuple(field.name for field in fields(Particulars))


def new_medicine(particulars: Particulars, now: datetime) -> Medicine:
    """Raises InvalidRequest."""
    check_period(particulars)
    return Medicine(**_values(particulars), created_at=now, updated_at=now)


def changed(medicine: Medicine, changes: Mapping[str, Any], etag: str, now: datetime) -> Medicine:
    """Returns the medicine with some of its particulars changed. Raises EtagMismatch, InvalidRequest."""
    check_etag(etag, medicine.version)
    after = replace(medicine, **changes)
    check_period(after)
    return replace(after, version=medicine.version + 1, updated_at=max(now, medicine.updated_at))


def replaced(medicine: Medicine, particulars: Particulars, etag: str, now: datetime) -> Medicine:
    """Returns the medicine with these particulars; unchanged if it has them already. Raises EtagMismatch, InvalidRequest."""
    check_etag(etag, medicine.version)
    changes = _values(particulars)
    return medicine if changes == _values(medicine) else changed(medicine, changes, "", now)


def check_period(particulars: Particulars) -> None:
    """Raises InvalidRequest where a limit has no period, or a period no limit."""
    if (particulars.max_per_period > 0) != (particulars.period_days > 0):
        raise InvalidRequest(f"medicine.period_days: {PERIOD_RULE}", violations=[FieldViolation("medicine.period_days", PERIOD_RULE)])


def _values(particulars: Particulars) -> dict[str, Any]:
    return {name: getattr(particulars, name) for name in _PARTICULARS}
