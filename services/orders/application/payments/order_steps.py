"""What a payment does to its order, in the words of ordering."""

from __future__ import annotations

import structlog

from services.orders.application.ordering.payment_steps import PaymentSteps
from services.orders.domain.errors import InsufficientStock, OrderStateRefused
from services.orders.domain.payments.model import Payment

log = structlog.get_logger()


class StepsOfOrders:
    """`OrderSteps`. What the order's state does not allow is no error here: the saga looks at the order again and decides anew."""

    def __init__(self, steps: PaymentSteps) -> None:
        self._steps = steps

    async def authorize(self, payment: Payment) -> None:
        try:
            await self._steps.authorize(payment.order_id, payment.id)
        except OrderStateRefused as error:
            _log_moved_on(payment, error)

    async def settle(self, payment: Payment) -> bool:
        try:
            await self._steps.settle(payment.order_id, payment.id)
        except OrderStateRefused as error:
            _log_moved_on(payment, error)
            return False
        except InsufficientStock as error:
            log.error("the stock of a paid order is lost, all is given back", payment=payment.name, missing=error.metadata)
            await self._steps.out_of_stock(payment.order_id)
            return False
        return True

    async def lose_payment(self, payment: Payment) -> None:
        log.warning("an order under review has lost its payment", payment=payment.name, failure=payment.failure)
        await self._steps.lose_payment(payment.order_id)


def _log_moved_on(payment: Payment, error: OrderStateRefused) -> None:
    log.warning("an order or its payment has moved on while it was paid", payment=payment.name, state=error.metadata["state"])
