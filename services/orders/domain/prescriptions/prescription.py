"""Prescriptions: what a customer may be sold on them, how often and how long."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from services.orders.domain.errors import PrescriptionExpired, PrescriptionMismatch, PrescriptionNotFound, PrescriptionUsedUp
from services.orders.domain.prescriptions.rules import check_refills, last_day
from shared.ids import read_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """What stands on a prescription. Without `expires_on` it lasts as long as the schedules of its medicines let it, or a year."""

    number: str
    prescriber: str
    issued_on: date
    expires_on: date | None
    refills: int
    skus: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prescription:
    """A prescription. It can be used on each day up to `expires_on`, `refills` + 1 times. `version` counts the changes, uses included.

    `recorded_by` and `revoked_by` are resource names of callers.
    """

    id: UUID
    customer_id: str
    number: str
    prescriber: str
    issued_on: date
    expires_on: date
    refills: int
    skus: tuple[str, ...]
    recorded_by: str
    uses: int = 0
    revoked: bool = False
    revoked_by: str = ""
    revoke_reason: str = ""
    version: int = 1
    created_at: datetime
    updated_at: datetime

    @property
    def name(self) -> str:
        return f"customers/{self.customer_id}/prescriptions/{self.id}"

    @property
    def is_used_up(self) -> bool:
        return self.uses > self.refills


def parse_name(name: str) -> tuple[str, UUID]:
    """Returns the ids of the customer and the prescription in a well-formed name. Raises PrescriptionNotFound."""
    _, customer_id, _, prescription = name.split("/")
    prescription_id = read_id(prescription)
    if prescription_id is None:
        raise PrescriptionNotFound
    return customer_id, prescription_id


def recorded(prescription_id: UUID, customer_id: str, paper: Paper, schedules: Collection[int], actor: str, now: datetime) -> Prescription:
    """Returns the new prescription, for medicines of these schedules. Raises PrescriptionInvalid."""
    check_refills(paper.refills, schedules)
    return Prescription(
        id=prescription_id,
        customer_id=customer_id,
        number=paper.number,
        prescriber=paper.prescriber,
        issued_on=paper.issued_on,
        expires_on=last_day(paper.issued_on, paper.expires_on, schedules, now.date()),
        refills=paper.refills,
        skus=paper.skus,
        recorded_by=actor,
        created_at=now,
        updated_at=now,
    )


def check_use(prescription: Prescription, sku: str, today: date) -> None:
    """Tells whether an order of this day may have the medicine on the prescription, which must be locked for the answer to last.

    An order uses a prescription once, however many of its lines name it. Raises PrescriptionMismatch, PrescriptionExpired,
    PrescriptionUsedUp.
    """
    if sku not in prescription.skus:
        raise PrescriptionMismatch(prescription.name, sku)
    check_valid(prescription, today)
    if prescription.is_used_up:
        raise PrescriptionUsedUp(prescription.name, prescription.uses)


def check_valid(prescription: Prescription, today: date) -> None:
    """Raises PrescriptionExpired if it is past its last day, or revoked."""
    if prescription.revoked or today > prescription.expires_on:
        raise PrescriptionExpired(prescription.name)


def revoked(prescription: Prescription, actor: str, reason: str, now: datetime) -> Prescription:
    """Returns the prescription as it is unusable for new orders; one that is so already stays as it is."""
    if prescription.revoked:
        return prescription
    version, updated_at = prescription.version + 1, max(now, prescription.updated_at)
    return replace(prescription, revoked=True, revoked_by=actor, revoke_reason=reason, version=version, updated_at=updated_at)
