"""Records a prescription, if the schedules of its medicines allow it."""

from __future__ import annotations

from uuid import uuid4

from services.orders.application.prescriptions.ports import PrescriptionWrites
from services.orders.domain.errors import MedicineNotFound, PrescriptionExists
from services.orders.domain.prescriptions.prescription import Paper, Prescription, recorded
from shared.clock import Clock
from shared.requests import RequestKey


class RecordPrescription:
    def __init__(self, writes: PrescriptionWrites, clock: Clock) -> None:
        self._writes = writes
        self._clock = clock

    async def record(self, customer_id: str, paper: Paper, key: RequestKey) -> Prescription:
        """Raises PrescriptionExists, PrescriptionInvalid, MedicineNotFound, RequestIdReused."""
        async with self._writes.begin() as write:
            answer = await write.answered(key)
            if answer is not None:
                return answer
            medicines = await write.medicines(paper.skus)
            for sku in paper.skus:
                if sku not in medicines:
                    raise MedicineNotFound(sku)
            schedules = {medicine.schedule for medicine in medicines.values()}
            prescription = recorded(uuid4(), customer_id, paper, schedules, key.actor, self._clock.now())
            if not await write.add(prescription):
                raise PrescriptionExists
            await write.commit(key, prescription)
            return prescription
