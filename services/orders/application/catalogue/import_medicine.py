"""Imports medicines, one row after the other, each for itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from services.orders.application.catalogue.ports import CatalogueWrite, CatalogueWrites, Medicines
from services.orders.domain.catalogue.medicine import Medicine, Particulars, new_medicine, replaced
from shared.clock import Clock
from shared.requests import RequestKey


class Outcome(Enum):
    """What was done with a row, or would be."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    SAME = "SAME"


@dataclass(frozen=True, slots=True)
class Imported:
    """What is remembered of a row."""

    outcome: Outcome


class ImportMedicine:
    def __init__(self, writes: CatalogueWrites, medicines: Medicines, clock: Clock) -> None:
        self._writes = writes
        self._medicines = medicines
        self._clock = clock

    async def run(self, row: Particulars, etag: str, key: RequestKey) -> Outcome:
        """Makes the medicine what the row says. Raises EtagMismatch, InvalidRequest, RequestIdReused; then nothing has changed."""
        async with self._writes.begin() as write:
            answer = await write.answered(key, Imported)
            if answer is not None:
                return answer.outcome
            outcome = await self._put(write, row, etag)
            await write.commit(key, Imported, Imported(outcome))
            return outcome

    async def judge(self, row: Particulars, etag: str) -> Outcome:
        """Tells what `run` would do now, and does nothing. Raises EtagMismatch, InvalidRequest."""
        return self._decide(row, etag, await self._medicines.find(row.sku))[0]

    async def _put(self, write: CatalogueWrite, row: Particulars, etag: str) -> Outcome:
        outcome, medicine = self._decide(row, etag, await write.lock(row.sku))
        if outcome is Outcome.CREATED and not await write.add(medicine):
            # Somebody else has just added it; medicines are never removed.
            outcome, medicine = self._decide(row, etag, await write.lock(row.sku))
        if outcome is Outcome.UPDATED:
            await write.store(medicine)
        return outcome

    def _decide(self, row: Particulars, etag: str, current: Medicine | None) -> tuple[Outcome, Medicine]:
        now = self._clock.now()
        if current is None:
            return Outcome.CREATED, new_medicine(row, now)
        after = replaced(current, row, etag, now)
        return (Outcome.SAME if after == current else Outcome.UPDATED), after
