"""Compares levels with holds, lots and movements."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from services.orders.application.inventory.ports import StockComparison, StockReads
from services.orders.domain.inventory.errors import LocationUnknown
from services.orders.domain.inventory.model import Difference


class ReconcileStock:
    """One comparison at a time: each reads all that there is."""

    def __init__(self, reads: StockReads, comparison: StockComparison) -> None:
        self._reads = reads
        self._comparison = comparison
        self._turn = asyncio.Lock()

    async def reconcile(self, location_id: str | None) -> tuple[Sequence[Difference], int]:
        """Returns what differs in a location, None for all, and how many levels were compared. Raises LocationUnknown."""
        if location_id is not None and not await self._reads.has_location(location_id):
            raise LocationUnknown
        async with self._turn:
            return await self._comparison.compare(location_id)
