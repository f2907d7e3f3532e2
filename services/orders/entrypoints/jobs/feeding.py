"""Keeps the feed of events: gives places to what was recorded, removes what is older than is kept, and measures how late it is."""

from __future__ import annotations

import asyncio
import random

import structlog

from services.orders.application.ordering.feed_ports import FeedObserver, FeedWriter
from shared.tasks import going_on

log = structlog.get_logger()

BATCH = 1_000
PRUNE_EVERY_S = 60.0
MEASURE_EVERY_S = 5.0
# Replicas do not all come at the same instant.
SPREAD = 0.2


class Feeding:
    """Moves events every `every_s` seconds, and at once again while there are more than a batch. Any number of replicas may run it."""

    def __init__(self, writer: FeedWriter, observer: FeedObserver, *, every_s: float, kept_days: int) -> None:
        self._writer = writer
        self._observer = observer
        self._every_s = every_s
        self._kept_days = kept_days
        self._measure_at = self._prune_at = 0.0

    async def run(self) -> None:
        """Runs until cancelled; outlives failures of the database."""
        while going_on():
            if not await self._round():
                await asyncio.sleep(self._every_s * random.uniform(1 - SPREAD, 1 + SPREAD))  # noqa: S311

    async def _round(self) -> bool:
        """Returns whether there may be more to do."""
        try:
            moved = await self._writer.move(BATCH)
            await self._measure()
            pruned = await self._prune()
        except Exception as error:  # noqa: BLE001  the next round tries again
            self._observer.failed(error)
            log.warning("the feed could not be kept", error=repr(error))
            return False
        return BATCH in (moved, pruned)

    async def _measure(self) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._measure_at:
            self._measure_at = now + MEASURE_EVERY_S
            self._observer.lagged(await self._writer.lag_s())

    async def _prune(self) -> int:
        now = asyncio.get_running_loop().time()
        if now < self._prune_at:
            return 0
        pruned = await self._writer.prune(self._kept_days, BATCH)
        if pruned < BATCH:
            self._prune_at = now + PRUNE_EVERY_S * random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311
        return pruned
