"""Reads the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

from services.orders.application.catalogue.ports import Medicines
from services.orders.domain.catalogue.medicine import Medicine
from services.orders.domain.errors import MedicineNotFound


class ReadMedicines:
    def __init__(self, medicines: Medicines) -> None:
        self._medicines = medicines

    async def get(self, sku: str) -> Medicine:
        """Raises MedicineNotFound."""
        medicine = await self._medicines.find(sku)
        if medicine is None:
            raise MedicineNotFound(sku)
        return medicine

    async def page(self, *, after: str | None, withdrawn_too: bool, limit: int) -> tuple[Sequence[Medicine], Medicine | None]:
        """Returns a page in the order of SKUs, and its last medicine if there are more after it."""
        rows = await self._medicines.list(after=after, withdrawn_too=withdrawn_too, limit=limit + 1)
        page = rows[:limit]
        return page, page[-1] if len(rows) > limit else None

    async def search(self, query: str, *, withdrawn_too: bool, limit: int) -> Sequence[Medicine]:
        """Returns those that have all words of the query, best first."""
        return await self._medicines.search(query, withdrawn_too=withdrawn_too, limit=limit)
