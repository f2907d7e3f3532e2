"""The job that tells orders of a recalled lot. Never given up: somebody may have what harms them."""

from __future__ import annotations

import structlog

from services.orders.application.inventory.tell_of_recall import TellOfRecall

log = structlog.get_logger()


class RecallJobs:
    def __init__(self, recalls: TellOfRecall) -> None:
        self._recalls = recalls

    async def tell_of_recall(self, sku: str, lot_number: str, reason: str) -> None:
        told = await self._recalls.tell(sku, lot_number, reason)
        log.info("orders told of a recall", sku=sku, lot=lot_number, orders=told)
