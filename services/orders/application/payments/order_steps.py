"""What a payment does to its order, in the words of ordering."""

from __future__ import annotations

from uuid import UUID

import structlog

from services.orders.application.ordering.payment_steps import PaymentSteps
from services.orders.domain.errors import InsufficientStock, OrderStateRefused

log = structlog.get_logger()


class StepsOfOrders:
    """`OrderSteps`. What the order's state does not allow is no error here: the saga looks at the order again and decides anew."""

    def __init__(self, steps: PaymentSteps) -> None:
        self._steps = steps

    async def authorize(self, order_id: UUID) -> None:
        try:
            await self._steps.authorize(order_id)
        except OrderStateRefused as error:
            log.warning("an order that is being paid has moved on", order_id=str(order_id), state=error.metadata["state"])

    async def settle(self, order_id: UUID) -> bool:
        try:
            await self._steps.settle(order_id)
        except OrderStateRefused as error:
            log.warning("an order that is being paid has moved on", order_id=str(order_id), state=error.metadata["state"])
            return False
        except InsufficientStock as error:
            log.error("the stock of a paid order is lost, all is given back", order_id=str(order_id), missing=error.metadata)
            await self._steps.out_of_stock(order_id)
            return False
        return True
