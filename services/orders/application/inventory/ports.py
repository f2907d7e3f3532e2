"""What the use cases of the inventory need of the outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date
from typing import Protocol, TypeVar
from uuid import UUID

from services.orders.application.inventory.stock import Cause, Stock
from services.orders.domain.inventory.lots import ShelfLife
from services.orders.domain.inventory.model import (
    AffectedOrder,
    Difference,
    Kind,
    Level,
    Location,
    Lot,
    LotAndLevel,
    LotState,
    Movement,
    Reservation,
)
from shared.requests import RequestKey

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LotFilter:
    """Which lots are asked for: all that differ from nothing here."""

    sku: str = ""
    state: LotState | None = None
    expiring_before: date | None = None
    in_stock_only: bool = False


class StockReads(Protocol):
    """Stock, read. Lists return at most `limit` of what follows `after`."""

    async def locations(self, *, after: str | None, limit: int) -> Sequence[Location]:
        """Returns locations in the order of their ids."""

    async def has_location(self, location_id: str) -> bool:
        """Tells whether there is such a location."""

    async def level(self, location_id: str, sku: str) -> Level | None:
        """Returns the level; None if the location never had the SKU."""

    async def levels_of(self, location_id: str, skus: Sequence[str]) -> Mapping[str, Level]:
        """Returns the levels that there are of these SKUs, by SKU."""

    async def levels(self, location_id: str, *, after: str | None, low_only: bool, limit: int) -> Sequence[Level]:
        """Returns levels in the order of their SKUs."""

    async def lot(self, location_id: str, lot_id: UUID) -> Lot | None:
        """Returns the lot."""

    async def lots(self, location_id: str, wanted: LotFilter, *, after: tuple[date, UUID] | None, limit: int) -> Sequence[Lot]:
        """Returns lots, soonest expiring first."""

    async def movements(
        self, location_id: str, *, sku: str, lot: tuple[str, UUID] | None, before: int | None, limit: int
    ) -> Sequence[Movement]:
        """Returns movements, newest first, of those with a lower number than `before`; `lot` has its location and its id."""

    async def reservation(self, reservation_id: UUID) -> Reservation | None:
        """Returns the reservation, its lines in the order of their SKUs."""


class StockWrite(Protocol):
    """A transaction that changes stock. Without `commit` nothing of it happens.

    Locks are taken in this order: the medicine, the reservation, levels by location and SKU.
    """

    @property
    def stock(self) -> Stock:
        """What orders do to stock, in this transaction."""

    async def answered(self, key: RequestKey, kind: type[T]) -> T | None:
        """Returns what the request was answered before; None if it is new. Raises RequestIdReused."""

    async def commit(self, key: RequestKey, kind: type[T], answer: T) -> None:
        """Remembers the answer, and commits."""

    async def has_location(self, location_id: str) -> bool:
        """Tells whether there is such a location; it is never removed."""

    async def add_location(self, location_id: str, display_name: str) -> Location | None:
        """Stores a new location; None if there is one with this id."""

    async def shelf_life(self, sku: str) -> ShelfLife | None:
        """Returns what the medicine demands of its lots today; None without such a medicine. Until the end nobody recalls lots of it."""

    async def set_reorder_point(self, location_id: str, sku: str, reorder_point: int) -> Level:
        """Stores it; makes the level if the location never had the SKU."""

    async def lock_level(self, location_id: str, sku: str) -> None:
        """Makes the level if the location never had the SKU. Nobody else changes it or its lots until the transaction ends."""

    async def lots_numbered(self, sku: str, lot_number: str) -> Sequence[Lot]:
        """Returns the lots with this number, of all locations and origins."""

    async def lock_lot(self, location_id: str, lot_id: UUID) -> tuple[Lot, ShelfLife] | None:
        """Locks the lot's level; returns the lot as it is then, and what its medicine demands of it today."""

    async def lock_lots_numbered(self, sku: str, lot_number: str) -> list[Lot]:
        """Locks the levels of all lots with this number; returns them as they are then. Nobody receives units of the SKU meanwhile."""

    async def store(self, before: Lot | None, after: Lot, kind: Kind, cause: Cause) -> LotAndLevel:
        """Stores a lot whose level is locked, with the movement and what it means for the level. `before` is None for a new lot."""

    async def affected_orders(self, lots: Sequence[Lot], limit: int) -> tuple[Sequence[AffectedOrder], int]:
        """Returns the newest orders that have units of the lots, and how many orders have any."""

    async def announce_recall(self, sku: str, lot_number: str, reason: str) -> None:
        """Notes that orders with units of the lot are to be told, once this is committed."""

    async def reservation(self, reservation_id: UUID) -> Reservation | None:
        """Returns the reservation as it is in this transaction."""


class StockWrites(Protocol):
    """Opens transactions."""

    def begin(self) -> AbstractAsyncContextManager[StockWrite]: ...


class StockSweeps(Protocol):
    """Ends what time has ended. Each call is a transaction of its own."""

    async def expire_lots(self, today: date, limit: int) -> Sequence[LotAndLevel]:
        """Takes at most so many sellable lots that no longer keep long enough out of sale; returns them with their levels then."""

    async def expire_reservations(self, limit: int) -> int:
        """Frees at most so many reservations of no order that ran out; returns how many. What others work on is left out."""


class RecalledOrders(Protocol):
    """Orders that have units of recalled lots."""

    async def having(self, sku: str, lot_number: str, *, after: UUID | None, limit: int) -> Sequence[UUID]:
        """Returns orders that have units of the recalled lot, in the order of their ids, those after this one."""

    async def tell(self, order_id: UUID, sku: str, lot_number: str, reason: str) -> bool:
        """Adds the event that the lot was recalled; False if the order has it."""


class StockComparison(Protocol):
    """Compares what should be equal."""

    async def compare(self, location_id: str | None) -> tuple[Sequence[Difference], int]:
        """Returns what differs in a location, or in all, in one snapshot; and how many levels were compared."""
