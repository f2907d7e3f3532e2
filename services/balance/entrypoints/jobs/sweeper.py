"""Runs `SettleDue` for as long as the service runs."""

from __future__ import annotations

import asyncio

import structlog
from prometheus_client import CollectorRegistry, Counter

from services.balance.application.settle_due import SettleDue
from shared.tasks import going_on

log = structlog.get_logger()

BATCH = 100


class Sweeper:
    """Looks every `every_s` seconds, and at once again while there is more than a batch."""

    def __init__(self, settle: SettleDue, every_s: float, registry: CollectorRegistry) -> None:
        self._settle = settle
        self._every_s = every_s
        self._settled = Counter(
            "ledger_accounts_settled_total", "Accounts where something ran out and was written down.", registry=registry
        )

    async def run(self) -> None:
        """Runs until cancelled; outlives failures of the database."""
        while going_on():
            if await self._sweep() < BATCH:
                await asyncio.sleep(self._every_s)

    async def _sweep(self) -> int:
        try:
            settled = await self._settle.run_once(BATCH)
        except Exception as error:  # noqa: BLE001  the next round tries again
            log.warning("what is due could not be settled", error=repr(error))
            return 0
        self._settled.inc(settled)
        return settled
