"""Adds locations and sets reorder points."""

from __future__ import annotations

from services.orders.application.inventory.ports import StockWrites
from services.orders.domain.inventory.errors import LocationExists, LocationUnknown, SkuUnknown
from services.orders.domain.inventory.model import Level, Location
from shared.requests import RequestKey


class KeepLevels:
    def __init__(self, writes: StockWrites) -> None:
        self._writes = writes

    async def add_location(self, location_id: str, display_name: str, key: RequestKey) -> Location:
        """Raises LocationExists, RequestIdReused."""
        async with self._writes.begin() as write:
            answer = await write.answered(key, Location)
            if answer is not None:
                return answer
            location = await write.add_location(location_id, display_name)
            if location is None:
                raise LocationExists
            await write.commit(key, Location, location)
            return location

    async def set_reorder_point(self, location_id: str, sku: str, reorder_point: int, key: RequestKey) -> Level:
        """Raises LocationUnknown, SkuUnknown, RequestIdReused."""
        async with self._writes.begin() as write:
            answer = await write.answered(key, Level)
            if answer is not None:
                return answer
            if not await write.has_location(location_id):
                raise LocationUnknown
            if await write.shelf_life(sku) is None:
                raise SkuUnknown(sku)
            level = await write.set_reorder_point(location_id, sku, reorder_point)
            await write.commit(key, Level, level)
            return level
