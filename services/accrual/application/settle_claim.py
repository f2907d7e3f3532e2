"""Credits the stored answer of a claim, then publishes it: whoever sees PROCESSED sees the points."""

from __future__ import annotations

import structlog

from services.accrual.application.ports import Observer, Points, Settlements
from shared.errors import GalenError
from shared.faults import Faults

log = structlog.get_logger()

CREDITED = "settle-credited"
PUBLISHED = "settle-published"


class SettleClaim:
    """May run any number of times, also at the same time: the credit has one id, and publishing twice changes nothing."""

    def __init__(self, settlements: Settlements, points: Points, observer: Observer, faults: Faults) -> None:
        self._settlements = settlements
        self._points = points
        self._observer = observer
        self._faults = faults

    async def __call__(self, number: str) -> None:
        """Raises what crediting raises; the job is then repeated, for ever: the points are owed."""
        claim = await self._settlements.owed(number)
        if claim is None:
            return
        try:
            operation = await self._points.credit(claim)
        except GalenError as error:
            self._observer.credit_failed(error.reason)
            log.error("points are owed and could not be credited", claim=claim.name, reason=error.reason, error=error.message)
            raise
        self._faults.reach(CREDITED)
        await self._settlements.publish(number, operation)
        self._faults.reach(PUBLISHED)
        log.info("settled", claim=claim.name, accrual=claim.accrual, operation=operation)
