"""Reads prescriptions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.orders.application.prescriptions.ports import Prescriptions
from services.orders.domain.errors import PrescriptionNotFound
from services.orders.domain.prescriptions.prescription import Prescription


class ReadPrescriptions:
    def __init__(self, prescriptions: Prescriptions) -> None:
        self._prescriptions = prescriptions

    async def get(self, customer_id: str, prescription_id: UUID) -> Prescription:
        """Raises PrescriptionNotFound."""
        prescription = await self._prescriptions.find(customer_id, prescription_id)
        if prescription is None:
            raise PrescriptionNotFound
        return prescription

    async def page(
        self, customer_id: str, *, before: tuple[datetime, UUID] | None, limit: int
    ) -> tuple[Sequence[Prescription], Prescription | None]:
        """Returns a page, newest first, and its last prescription if there are more after it."""
        rows = await self._prescriptions.list(customer_id, before=before, limit=limit + 1)
        page = rows[:limit]
        return page, page[-1] if len(rows) > limit else None
