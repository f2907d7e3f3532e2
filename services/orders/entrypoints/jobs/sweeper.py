"""Runs the sweeps for as long as the service runs: orders and reservations often, lots and figures seldom. Any number of replicas."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from services.orders.application.inventory.expire import ExpireLots, ExpireReservations
from services.orders.application.ordering.sweep_orders import SweepOrders
from services.orders.application.ordering.sweep_ports import SweepObserver
from shared.clock import Clock
from shared.tasks import going_on

log = structlog.get_logger()

MEASURE_EVERY_S = 60.0
# Replicas do not all come at the same instant.
SPREAD = 0.3


@dataclass(frozen=True, slots=True)
class SweepRules:
    """How often, and how many at once."""

    every_s: float
    lots_every_s: float
    batch: int


class Sweeper:
    def __init__(
        self,
        orders: SweepOrders,
        reservations: ExpireReservations,
        lots: ExpireLots,
        observer: SweepObserver,
        clock: Clock,
        rules: SweepRules,
    ) -> None:
        self._orders = orders
        self._reservations = reservations
        self._lots = lots
        self._observer = observer
        self._clock = clock
        self._rules = rules
        self._lots_at = self._measure_at = 0.0

    async def run(self) -> None:
        """Runs until cancelled; outlives failures of the database."""
        while going_on():
            await self.round()
            await asyncio.sleep(_about(self._rules.every_s))

    async def round(self) -> None:
        """Does everything that it is time for; what fails is done in the next round."""
        await self._tried("orders", self._orders.sweep)
        await self._tried("reservations", self._expire_reservations)
        now = asyncio.get_running_loop().time()
        if now >= self._lots_at and await self._tried("lots", self._expire_lots):
            self._lots_at = now + _about(self._rules.lots_every_s)
        if now >= self._measure_at and await self._tried("measure", self._orders.measure):
            self._measure_at = now + _about(MEASURE_EVERY_S)

    async def _expire_reservations(self) -> None:
        freed = self._rules.batch
        while going_on() and freed == self._rules.batch:
            freed = await self._reservations.expire_reservations(self._rules.batch)

    async def _expire_lots(self) -> None:
        expired = await self._lots.expire_lots(self._clock.now().date())
        if expired:
            log.info("lots taken out of sale", lots=expired)

    async def _tried(self, step: str, run: Callable[[], Awaitable[object]]) -> bool:
        try:
            await run()
        except Exception as error:  # noqa: BLE001  the database may be away; the next round tries again
            self._observer.sweep_failed(step, error)
            log.warning("a sweep failed", step=step, error=repr(error))
            return False
        return True


def _about(seconds: float) -> float:
    return seconds * random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311
