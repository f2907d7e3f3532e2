"""Things for tests to work with: medicines, prescriptions, rows of orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orders.domain.prescriptions.prescription import Prescription

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def new_sku(prefix: str = "MED") -> str:
    return f"{prefix}-{uuid4().hex[:12]}"


def new_customer() -> str:
    return str(uuid4())


def a_prescription(**changes: Any) -> Prescription:
    """Returns a prescription of today that can be used once, with some fields changed."""
    today = datetime.now(UTC).date()
    valid = Prescription(
        id=uuid4(),
        customer_id=new_customer(),
        number=uuid4().hex,
        prescriber="Dr. Quinn",
        issued_on=today,
        expires_on=today + timedelta(days=30),
        refills=0,
        skus=("MED-1",),
        recorded_by="customers/someone",
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(valid, **changes)


def today() -> date:
    return datetime.now(UTC).date()


def days_from_now(days: int) -> date:
    return today() + timedelta(days=days)


async def add_prescription(
    connection: AsyncConnection, customer_id: str, skus: Sequence[str], *, refills: int = 0, expires_in_days: int = 30
) -> UUID:
    """Inserts a prescription of yesterday that has not been used; returns its id."""
    prescription_id = uuid4()
    await connection.exec_driver_sql(
        """insert into prescription (prescription_id, customer_id, number, prescriber, recorded_by, issued_on, expires_on, refills,
                                     uses, skus, revoked, revoked_by, revoke_reason)
           values (%s, %s, %s, 'Dr. Quinn', 'tests', current_date - 1, %s, %s, 0, %s, false, '', '')""",
        (prescription_id, customer_id, uuid4().hex, days_from_now(expires_in_days), refills, list(skus)),
    )
    return prescription_id


async def add_order_row(connection: AsyncConnection, customer_id: str) -> UUID:
    """Inserts the bare row of an order, for what refers to orders; returns its id."""
    order_id = uuid4()
    statement = text("""
        insert into customer_order
            (order_id, customer_id, order_number, location_id, currency, note, state, fulfilment, subtotal_minor, payable_minor, has_rx,
             has_controlled, contact_name, contact_phone, contact_email, assignee, preparer, reviewer, tracking_number, pickup_code,
             cancel_reason, payment_state, points_state, points_minor, pending_operation, overdue, events, search)
        values (:order_id, :customer_id, :order_number, 'main', 'EUR', '', 1, 1, 0, 0, false,
                false, '', '', '', '', '', '', '', '', '', 1, 0, 0, 0, false, 1, '')
    """)
    await connection.execute(statement, {"order_id": order_id, "customer_id": customer_id, "order_number": order_id.hex})
    return order_id
