"""What the use cases of prescriptions need of the outside."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.orders.domain.catalogue.medicine import Medicine
from services.orders.domain.prescriptions.prescription import Prescription
from shared.requests import RequestKey


class Prescriptions(Protocol):
    """Prescriptions, read."""

    async def find(self, customer_id: str, prescription_id: UUID) -> Prescription | None:
        """Returns the prescription, if the customer has it."""

    async def list(self, customer_id: str, *, before: tuple[datetime, UUID] | None, limit: int) -> Sequence[Prescription]:
        """Returns at most `limit` of the customer's, newest first, of those recorded before this time (and id, where times are equal)."""


class PrescriptionWrite(Protocol):
    """A transaction that records or changes one prescription. Without `commit` nothing of it happens."""

    async def answered(self, key: RequestKey) -> Prescription | None:
        """Returns what the request was answered before; None if it is new. Raises RequestIdReused."""

    async def medicines(self, skus: Collection[str]) -> Mapping[str, Medicine]:
        """Returns the medicines that the catalogue has of these SKUs, by SKU."""

    async def lock(self, customer_id: str, prescription_id: UUID) -> Prescription | None:
        """Returns the prescription, which nobody else uses or changes until the transaction ends."""

    async def add(self, prescription: Prescription) -> bool:
        """Stores a new prescription; False if the customer has one with this number."""

    async def store(self, prescription: Prescription) -> None:
        """Stores a prescription that was locked and has changed."""

    async def commit(self, key: RequestKey, answer: Prescription) -> None:
        """Remembers the answer, and commits."""


class PrescriptionWrites(Protocol):
    """Opens transactions."""

    def begin(self) -> AbstractAsyncContextManager[PrescriptionWrite]: ...
