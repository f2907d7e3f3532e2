"""Between the messages of PrescriptionService and the domain."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from galen.orders.v1 import prescription_pb2

from services.orders.domain.etags import etag_of
from services.orders.domain.prescriptions.prescription import Paper, Prescription
from services.orders.entrypoints.grpc.converters.dates import date_fields, day_of
from shared.grpc.timestamps import timestamp


def customer_of(parent: str) -> str:
    """Returns the id in `customers/{customer}`."""
    return parent.removeprefix("customers/")


def prescription_message(prescription: Prescription) -> prescription_pb2.Prescription:
    return prescription_pb2.Prescription(
        name=prescription.name,
        number=prescription.number,
        prescriber=prescription.prescriber,
        issue_date=date_fields(prescription.issued_on),
        expire_date=date_fields(prescription.expires_on),
        refills=prescription.refills,
        skus=prescription.skus,
        uses=prescription.uses,
        revoked=prescription.revoked,
        etag=etag_of(prescription.version),
        create_time=timestamp(prescription.created_at),
    )


def paper_of(message: prescription_pb2.Prescription) -> Paper:
    """Raises InvalidRequest."""
    return Paper(
        number=message.number,
        prescriber=message.prescriber,
        issued_on=day_of(message.issue_date, "prescription.issue_date"),
        expires_on=day_of(message.expire_date, "prescription.expire_date") if message.HasField("expire_date") else None,
        refills=message.refills,
        skus=tuple(message.skus),
    )


def position_of(prescription: Prescription) -> list[str]:
    """Returns where a page that ends with this prescription ends, as a page token holds it."""
    return [prescription.created_at.isoformat(), str(prescription.id)]


def read_position(position: list[str] | None) -> tuple[datetime, UUID] | None:
    return (datetime.fromisoformat(position[0]), UUID(position[1])) if position else None
