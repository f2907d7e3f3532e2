"""Receives lots, corrects their units, sets them aside and makes them sellable again."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import structlog

from services.orders.application.inventory.ports import StockWrite, StockWrites
from services.orders.application.inventory.stock import Cause
from services.orders.domain.inventory.errors import LocationUnknown, LotNotFound, SkuUnknown
from services.orders.domain.inventory.lots import Correction, Delivery, ShelfLife, adjusted, quarantined, received, released, same_lot
from services.orders.domain.inventory.model import Kind, Lot, LotAndLevel
from shared.clock import Clock
from shared.requests import RequestKey

log = structlog.get_logger()


class KeepLots:
    """Each method returns the lot and its level after it."""

    def __init__(self, writes: StockWrites, clock: Clock) -> None:
        self._writes = writes
        self._clock = clock

    async def receive(self, delivery: Delivery, key: RequestKey) -> LotAndLevel:
        """Raises LocationUnknown, SkuUnknown, LotConflict, LotStateRefused, RequestIdReused."""
        async with self._writes.begin() as write:
            answer = await write.answered(key, LotAndLevel)
            if answer is not None:
                return answer
            answer = await self._take_in(write, delivery, key.actor)
            await write.commit(key, LotAndLevel, answer)
            return answer

    async def judge(self, delivery: Delivery, actor: str) -> None:
        """Does what `receive` would do now, and undoes it. Raises LocationUnknown, SkuUnknown, LotConflict, LotStateRefused."""
        async with self._writes.begin() as write:
            await self._take_in(write, delivery, actor)

    async def adjust(self, location_id: str, lot_id: UUID, correction: Correction, reason: str, key: RequestKey) -> LotAndLevel:
        """Raises LotNotFound, StockChanged, StockNegative, LotStateRefused, RequestIdReused."""
        return await self._change(location_id, lot_id, Kind.ADJUST, lambda lot, _: adjusted(lot, correction), reason, key)

    async def quarantine(self, location_id: str, lot_id: UUID, reason: str, key: RequestKey) -> LotAndLevel:
        """Raises LotNotFound, LotStateRefused, RequestIdReused."""
        return await self._change(location_id, lot_id, Kind.QUARANTINE, lambda lot, _: quarantined(lot), reason, key)

    async def release(self, location_id: str, lot_id: UUID, reason: str, key: RequestKey) -> LotAndLevel:
        """Raises LotNotFound, LotStateRefused, RequestIdReused."""
        return await self._change(location_id, lot_id, Kind.UNQUARANTINE, released, reason, key)

    async def _take_in(self, write: StockWrite, delivery: Delivery, actor: str) -> LotAndLevel:
        if not await write.has_location(delivery.location_id):
            raise LocationUnknown
        shelf_life = await write.shelf_life(delivery.sku)
        if shelf_life is None:
            raise SkuUnknown(delivery.sku)
        await write.lock_level(delivery.location_id, delivery.sku)
        known = await write.lots_numbered(delivery.sku, delivery.lot_number)
        lot = received(known, delivery, uuid4(), shelf_life, self._clock.now())
        return await write.store(same_lot(known, delivery), lot, Kind.RECEIVE, Cause(actor, delivery.reference))

    async def _change(
        self, location_id: str, lot_id: UUID, kind: Kind, decide: Callable[[Lot, ShelfLife], Lot], reason: str, key: RequestKey
    ) -> LotAndLevel:
        async with self._writes.begin() as write:
            answer = await write.answered(key, LotAndLevel)
            if answer is not None:
                return answer
            locked = await write.lock_lot(location_id, lot_id)
            if locked is None:
                raise LotNotFound
            answer = await write.store(locked[0], decide(*locked), kind, Cause(key.actor, "", reason))
            await write.commit(key, LotAndLevel, answer)
        warn_of_shortfall(locked[0], answer)
        return answer


def warn_of_shortfall(before: Lot, after: LotAndLevel) -> None:
    """Logs a loss after which more is held than there is: somebody will not get what they ordered unless stock comes in."""
    level = after.level
    if after.lot.counted < before.counted and level.available < 0:
        log.warning("stock shortfall", location=level.location_id, sku=level.sku, available=level.available)
