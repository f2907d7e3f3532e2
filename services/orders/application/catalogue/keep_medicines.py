"""Adds medicines and changes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.orders.application.catalogue.ports import CatalogueWrites
from services.orders.domain.catalogue.medicine import Medicine, Particulars, changed, new_medicine
from services.orders.domain.errors import MedicineExists, MedicineNotFound
from shared.clock import Clock
from shared.requests import RequestKey


class KeepMedicines:
    def __init__(self, writes: CatalogueWrites, clock: Clock) -> None:
        self._writes = writes
        self._clock = clock

    async def create(self, particulars: Particulars, key: RequestKey) -> Medicine:
        """Raises MedicineExists, InvalidRequest, RequestIdReused."""
        async with self._writes.begin() as write:
            answer = await write.answered(key, Medicine)
            if answer is not None:
                return answer
            medicine = new_medicine(particulars, self._clock.now())
            if not await write.add(medicine):
                raise MedicineExists(medicine.sku)
            await write.commit(key, Medicine, medicine)
            return medicine

    async def update(self, sku: str, changes: Mapping[str, Any], etag: str, key: RequestKey) -> Medicine:
        """Sets the particulars that are named. Raises MedicineNotFound, EtagMismatch, InvalidRequest, RequestIdReused."""
        async with self._writes.begin() as write:
            answer = await write.answered(key, Medicine)
            if answer is not None:
                return answer
            medicine = await write.lock(sku)
            if medicine is None:
                raise MedicineNotFound(sku)
            medicine = changed(medicine, changes, etag, self._clock.now())
            await write.store(medicine)
            await write.commit(key, Medicine, medicine)
            return medicine
