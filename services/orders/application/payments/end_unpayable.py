"""Ends orders under review that nobody can pay any more.

Whoever ends an order under review gives its payment up first, and the order ends when that has come true. If they die in between, the order
has no payment left: it can't be approved, and would hold its stock until its review is due. Who wanted it to end, and why, was not stored
by then: it ends as PAYMENT_LOST, also where a pharmacist was rejecting it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol
from uuid import UUID

import structlog

from services.orders.application.payments.ports import OrderSteps, PaymentRecords
from services.orders.domain.ordering.model import State
from shared.errors import GalenError

log = structlog.get_logger()

# Whoever gave the payment up, and lives, has ended the order long before.
GRACE = timedelta(minutes=1)
AT_ONCE = 50


class UnpayableOrders(Protocol):
    """Orders under review all of whose payments have ended."""

    async def payments_of(self, ended_for: timedelta, limit: int) -> Sequence[UUID]:
        """Returns the last payment of each whose last payment ended so long ago, and that does not wait for the provider."""


class EndUnpayable:
    def __init__(self, orders: UnpayableOrders, records: PaymentRecords, steps: OrderSteps) -> None:
        self._orders = orders
        self._records = records
        self._steps = steps

    async def end(self) -> None:
        """Ends them as PAYMENT_LOST; one that fails is tried again the next time. Any number of replicas may do so at once."""
        for payment_id in await self._orders.payments_of(GRACE, AT_ONCE):
            known = await self._records.read(payment_id)
            payment = known.payment
            if payment.is_live or known.order.state is not State.UNDER_REVIEW:
                continue
            try:
                await self._steps.lose_payment(payment)
            except GalenError as error:
                log.warning("an order that nobody can pay could not be ended", payment=payment.name, error=repr(error))
