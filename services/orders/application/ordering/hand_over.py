"""Hands an order over at the counter, for the code that its customer says. Codes are short, so wrong ones are counted and told of."""

from __future__ import annotations

from uuid import UUID

import structlog

from services.orders.application.ordering.change_order import ChangeOrder
from services.orders.domain.errors import PickupCodeWrong
from services.orders.domain.ordering.changes import Command
from services.orders.domain.ordering.model import Order
from shared.rate_limit import KeyedLimiter
from shared.requests import RequestKey

log = structlog.get_logger()


class HandOver:
    def __init__(self, change: ChangeOrder, wrong_codes: KeyedLimiter) -> None:
        """`wrong_codes` counts those of each order."""
        self._change = change
        self._wrong_codes = wrong_codes

    async def __call__(self, customer_id: str, order_id: UUID, command: Command, key: RequestKey) -> Order:
        """Raises RateLimited after too many wrong codes, PickupCodeWrong, and what ChangeOrder.request does."""
        self._wrong_codes.check(str(order_id))
        try:
            return await self._change.request(customer_id, order_id, command, key)
        except PickupCodeWrong:
            self._wrong_codes.count(str(order_id))
            log.warning("wrong pickup code", order=str(order_id), actor=command.caller.name)
            raise
