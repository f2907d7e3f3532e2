"""Reads locations, levels, lots, movements and reservations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TypeVar
from uuid import UUID

from services.orders.application.inventory.ports import LotFilter, StockReads
from services.orders.domain.inventory.errors import LocationUnknown, LotNotFound, ReservationNotFound, StockNotFound
from services.orders.domain.inventory.model import Level, Location, Lot, Movement, Reservation

T = TypeVar("T")


class ReadStock:
    """Lists return a page, and its last entry if there are more after it."""

    def __init__(self, reads: StockReads) -> None:
        self._reads = reads

    async def locations(self, *, after: str | None, limit: int) -> tuple[Sequence[Location], Location | None]:
        return _page(await self._reads.locations(after=after, limit=limit + 1), limit)

    async def level(self, location_id: str, sku: str) -> Level:
        """Raises StockNotFound."""
        level = await self._reads.level(location_id, sku)
        if level is None:
            raise StockNotFound
        return level

    async def levels_of(self, location_id: str, skus: Sequence[str]) -> Sequence[Level]:
        """Returns a level for each SKU, in their order, all zero for what the location never had. Raises LocationUnknown."""
        if not await self._reads.has_location(location_id):
            raise LocationUnknown
        found = await self._reads.levels_of(location_id, skus)
        return [found.get(sku) or Level(location_id, sku) for sku in skus]

    async def levels(self, location_id: str, *, after: str | None, low_only: bool, limit: int) -> tuple[Sequence[Level], Level | None]:
        """Raises LocationUnknown."""
        return await self._page_at(
            location_id, await self._reads.levels(location_id, after=after, low_only=low_only, limit=limit + 1), limit
        )

    async def lot(self, location_id: str, lot_id: UUID) -> Lot:
        """Raises LotNotFound."""
        lot = await self._reads.lot(location_id, lot_id)
        if lot is None:
            raise LotNotFound
        return lot

    async def lots(
        self, location_id: str, wanted: LotFilter, *, after: tuple[date, UUID] | None, limit: int
    ) -> tuple[Sequence[Lot], Lot | None]:
        """Raises LocationUnknown."""
        return await self._page_at(location_id, await self._reads.lots(location_id, wanted, after=after, limit=limit + 1), limit)

    async def movements(
        self, location_id: str, *, sku: str, lot: tuple[str, UUID] | None, before: int | None, limit: int
    ) -> tuple[Sequence[Movement], Movement | None]:
        """Raises LocationUnknown."""
        rows = await self._reads.movements(location_id, sku=sku, lot=lot, before=before, limit=limit + 1)
        return await self._page_at(location_id, rows, limit)

    async def reservation(self, reservation_id: UUID) -> Reservation:
        """Raises ReservationNotFound."""
        reservation = await self._reads.reservation(reservation_id)
        if reservation is None:
            raise ReservationNotFound
        return reservation

    async def _page_at(self, location_id: str, rows: Sequence[T], limit: int) -> tuple[Sequence[T], T | None]:
        """Returns the page. Only where there is nothing on it the location itself is looked for."""
        if not rows and not await self._reads.has_location(location_id):
            raise LocationUnknown
        return _page(rows, limit)


def _page(rows: Sequence[T], limit: int) -> tuple[Sequence[T], T | None]:
    page = rows[:limit]
    return page, page[-1] if len(rows) > limit else None
