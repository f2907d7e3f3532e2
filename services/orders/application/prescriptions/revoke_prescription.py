"""Makes a prescription unusable for new orders."""

from __future__ import annotations

from uuid import UUID

from services.orders.application.prescriptions.ports import PrescriptionWrites
from services.orders.domain.errors import PrescriptionNotFound
from services.orders.domain.prescriptions.prescription import Prescription, revoked
from shared.clock import Clock
from shared.requests import RequestKey


class RevokePrescription:
    def __init__(self, writes: PrescriptionWrites, clock: Clock) -> None:
        self._writes = writes
        self._clock = clock

    async def revoke(self, customer_id: str, prescription_id: UUID, reason: str, key: RequestKey) -> Prescription:
        """Raises PrescriptionNotFound, RequestIdReused."""
        async with self._writes.begin() as write:
            answer = await write.answered(key)
            if answer is not None:
                return answer
            prescription = await write.lock(customer_id, prescription_id)
            if prescription is None:
                raise PrescriptionNotFound
            prescription = revoked(prescription, key.actor, reason, self._clock.now())
            await write.store(prescription)
            await write.commit(key, prescription)
            return prescription
