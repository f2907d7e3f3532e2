"""How an order comes to be: what the catalogue says of what is asked for, and the rules for selling it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from services.orders.domain.catalogue.medicine import Medicine
from services.orders.domain.errors import (
    MedicineNotFound,
    MedicineWithdrawn,
    MixedCurrencies,
    PrescriptionNotFound,
    PrescriptionRequired,
    QuantityLimit,
)
from services.orders.domain.ordering.model import Line
from services.orders.domain.prescriptions.prescription import Prescription, check_use


@dataclass(frozen=True, slots=True)
class Wanted:
    """A line that is asked for."""

    sku: str
    quantity: int
    prescription_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class PeriodLimit:
    """A medicine of which a customer may order `limit` units in `days`, and `requested` now."""

    sku: str
    limit: int
    days: int
    requested: int


def priced(wanted: Sequence[Wanted], medicines: Mapping[str, Medicine]) -> tuple[Line, ...]:
    """Returns the lines as the catalogue has them.

    Raises MedicineNotFound, MedicineWithdrawn, QuantityLimit (of one order), PrescriptionRequired, MixedCurrencies.
    """
    lines = tuple(_line(one, medicines.get(one.sku)) for one in wanted)
    if len({medicines[one.sku].currency for one in wanted}) > 1:
        raise MixedCurrencies
    return lines


def _line(wanted: Wanted, medicine: Medicine | None) -> Line:
    if medicine is None:
        raise MedicineNotFound(wanted.sku)
    if medicine.withdrawn:
        raise MedicineWithdrawn(wanted.sku)
    if 0 < medicine.max_per_order < wanted.quantity:
        raise QuantityLimit(wanted.sku, limit=medicine.max_per_order, requested=wanted.quantity)
    if medicine.rx_required and wanted.prescription_id is None:
        raise PrescriptionRequired(wanted.sku)
    return Line(
        sku=medicine.sku,
        display_name=medicine.display_name,
        form=medicine.form,
        strength=medicine.strength,
        quantity=wanted.quantity,
        unit_price_minor=medicine.price_minor,
        rx_required=medicine.rx_required,
        schedule=medicine.schedule,
        cold_chain=medicine.cold_chain,
        prescription_id=wanted.prescription_id,
    )


def period_limits(wanted: Sequence[Wanted], medicines: Mapping[str, Medicine]) -> list[PeriodLimit]:
    """Returns the limits that what the customer has ordered before must be known for."""
    limited = [(one, medicines[one.sku]) for one in wanted if medicines[one.sku].max_per_period > 0]
    return [PeriodLimit(one.sku, medicine.max_per_period, medicine.period_days, one.quantity) for one, medicine in limited]


def check_periods(limits: Sequence[PeriodLimit], ordered: Mapping[str, int]) -> None:
    """`ordered` are the units of each period. Raises QuantityLimit."""
    for one in limits:
        already = ordered.get(one.sku, 0)
        if already + one.requested > one.limit:
            raise QuantityLimit(one.sku, limit=one.limit, requested=one.requested, already=already)


def check_prescriptions(lines: Sequence[Line], prescriptions: Mapping[UUID, Prescription], today: date) -> None:
    """Raises PrescriptionNotFound, PrescriptionMismatch, PrescriptionExpired, PrescriptionUsedUp."""
    for line in lines:
        if line.prescription_id is None:
            continue
        prescription = prescriptions.get(line.prescription_id)
        if prescription is None:
            raise PrescriptionNotFound
        check_use(prescription, line.sku, today)
