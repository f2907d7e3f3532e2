"""What the use cases of the catalogue need of the outside."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from services.orders.domain.catalogue.medicine import Medicine
from shared.requests import RequestKey

T = TypeVar("T")


class Medicines(Protocol):
    """The catalogue, read."""

    async def find(self, sku: str) -> Medicine | None:
        """Returns the medicine, withdrawn or not."""

    async def list(self, *, after: str | None, withdrawn_too: bool, limit: int) -> Sequence[Medicine]:
        """Returns at most `limit` medicines in the order of their SKUs, those after this one."""

    async def search(self, query: str, *, withdrawn_too: bool, limit: int) -> Sequence[Medicine]:
        """Returns at most `limit` medicines that have all words of the query or words that begin like them, best first."""


class CatalogueWrite(Protocol):
    """A transaction that changes the catalogue. Without `commit` nothing of it happens."""

    async def answered(self, key: RequestKey, kind: type[T]) -> T | None:
        """Returns what the request was answered before; None if it is new. Raises RequestIdReused."""

    async def lock(self, sku: str) -> Medicine | None:
        """Returns the medicine, which nobody else changes until the transaction ends."""

    async def add(self, medicine: Medicine) -> bool:
        """Stores a new medicine; False if there is one with this SKU."""

    async def store(self, medicine: Medicine) -> None:
        """Stores a medicine that was locked and has changed."""

    async def commit(self, key: RequestKey, kind: type[T], answer: T) -> None:
        """Remembers the answer, and commits."""


class CatalogueWrites(Protocol):
    """Opens transactions."""

    def begin(self) -> AbstractAsyncContextManager[CatalogueWrite]: ...
