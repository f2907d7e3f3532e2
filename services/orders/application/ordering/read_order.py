"""Reads one order."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from services.orders.application.ordering.ports import Orders
from services.orders.domain.errors import OrderNotFound
from services.orders.domain.ordering.model import Order, OrderEvent


class ReadOrder:
    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    async def get(self, customer_id: str, order_id: UUID, events_max: int) -> tuple[Order, Sequence[OrderEvent]]:
        """Returns the customer's order and its latest events, latest first. Raises OrderNotFound."""
        if events_max:
            order, events = await self._orders.get_with_events(order_id, customer_id, events_max)
        else:
            order, events = await self._orders.get(order_id, customer_id), ()
        if order is None:
            raise OrderNotFound
        return order, events
