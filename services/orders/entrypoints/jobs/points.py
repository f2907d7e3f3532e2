"""The jobs that bring the points of completed orders. Neither is ever given up: the customer has earned them."""

from __future__ import annotations

from uuid import UUID

from services.orders.application.points.earn_points import EarnPoints
from shared.errors import GalenError
from shared.jobs.queue import NotYet


class PointsJobs:
    def __init__(self, earn: EarnPoints) -> None:
        self._earn = earn

    async def register_purchase(self, order_id: str) -> None:
        """Raises GalenError, NotYet."""
        try:
            await self._earn.register(UUID(order_id))
        except GalenError as error:
            if error.retry_after_s is None:
                raise
            raise NotYet(error.message, after_s=error.retry_after_s) from error

    async def collect_points(self, order_id: str) -> None:
        """Raises GalenError, NotYet."""
        if not await self._earn.collect(UUID(order_id)):
            raise NotYet("the points are not known")
