"""Brings the points of a completed order: first the purchase is registered, then what it earned is awaited and noted.

Two steps, each of which may be repeated for ever: the first has one request id, the second notes the points once.
"""

from __future__ import annotations

from uuid import UUID

import structlog

from services.orders.application.points.ports import Accrual, PointsOfOrders, PurchaseRefused
from services.orders.domain.points.purchase import Earned, purchase_of
from shared.faults import Faults

log = structlog.get_logger()

NO_POINTS = Earned(0)
# Where a test may end the process.
REGISTERED = "purchase-registered"
FOLLOWED = "purchase-followed"
RECORDED = "points-recorded"


class EarnPoints:
    def __init__(self, orders: PointsOfOrders, accrual: Accrual, faults: Faults) -> None:
        self._orders = orders
        self._accrual = accrual
        self._faults = faults

    async def register(self, order_id: UUID) -> None:
        """Raises GalenError while the accrual service does not answer."""
        order = await self._orders.awaiting(order_id)
        if order is None:
            return
        try:
            await self._accrual.register(purchase_of(order))
        except PurchaseRefused as error:
            # Nobody but people can find out whether the customer should have points, and give them.
            log.error("purchase refused, no points", order=order.name, order_number=order.number, reason=error.reason)
            await self._orders.conclude(order_id, NO_POINTS)
            return
        self._faults.reach(REGISTERED)
        await self._orders.registered(order_id)
        self._faults.reach(FOLLOWED)

    async def collect(self, order_id: UUID) -> bool:
        """Returns whether the order's points are known. Raises GalenError while the accrual service does not answer."""
        order = await self._orders.awaiting(order_id)
        if order is None:
            return True
        earned = await self._accrual.earned(order.customer_id, order.number)
        if earned is None:
            return False
        if await self._orders.conclude(order_id, earned):
            log.info("points earned", order=order.name, points_minor=earned.points_minor, operation=earned.credit_operation)
        self._faults.reach(RECORDED)
        return True
