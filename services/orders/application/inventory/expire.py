"""Ends what time has ended: lots that no longer keep long enough, reservations of no order that ran out. Any number may do it at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from services.orders.application.inventory.keep_lots import warn_of_shortfall
from services.orders.application.inventory.ports import StockSweeps
from services.orders.application.observer import Observer
from services.orders.domain.inventory.model import LotState

LOTS_AT_ONCE = 100


class ExpireLots:
    def __init__(self, sweeps: StockSweeps) -> None:
        self._sweeps = sweeps

    async def expire_lots(self, today: date) -> int:
        """Takes all lots that are past their end, or too near to it for their medicine, out of sale; returns how many."""
        count = 0
        while expired := await self._sweeps.expire_lots(today, LOTS_AT_ONCE):
            count += len(expired)
            for stored in expired:
                warn_of_shortfall(replace(stored.lot, state=LotState.SELLABLE), stored)
        return count


class ExpireReservations:
    def __init__(self, sweeps: StockSweeps, observer: Observer) -> None:
        self._sweeps = sweeps
        self._observer = observer

    async def expire_reservations(self, limit: int) -> int:
        """Frees at most `limit` reservations of no order that ran out; returns how many: call again at once if all of `limit`."""
        count = await self._sweeps.expire_reservations(limit)
        if count:
            self._observer.holds_expired(count)
        return count
