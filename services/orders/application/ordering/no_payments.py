"""The arbiter of payments where there are none."""

from __future__ import annotations

from services.orders.application.ordering.ports import Verdict
from services.orders.domain.ordering.model import Order


class NoPayments:
    """Nothing can pay an order, so nothing has to be ended."""

    async def cancel(self, _order: Order) -> Verdict:
        return Verdict.CANCELLED
