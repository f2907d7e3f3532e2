"""Ordinary orders, made at once: one round trip holds the transaction as a whole, its commit included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from services.orders.adapters.postgres.announcements import NotificationsToSend
from services.orders.adapters.postgres.order_inserts import place_order
from services.orders.adapters.postgres.order_round_trips import sender
from services.orders.adapters.postgres.stock import reservation_values
from services.orders.adapters.postgres.transactions import Transactions
from services.orders.application.inventory.stock import Cause
from services.orders.domain.ordering.model import Order, OrderEvent
from shared.faults import Faults
from shared.postgres.round_trips import RoundTrips
from shared.requests import RequestKey

# Where a test may end the process: with everything decided and nothing committed, and with everything committed and nobody told.
COMMITTING = "order-committing"
COMMITTED = "order-committed"


class PostgresPlainOrders:
    """Implements the port PlainOrders. Of what events set off, notifications are all that concerns a new order."""

    def __init__(self, transactions: Transactions, notifications: NotificationsToSend, faults: Faults) -> None:
        self._transactions = transactions
        self._notifications = notifications
        self._faults = faults
        self._round_trips = RoundTrips()

    async def add(
        self, order: Order, event: OrderEvent, words: Iterable[str], versions: Mapping[str, int], cause: Cause, key: RequestKey
    ) -> bool:
        jobs = self._notifications.statements(order, event)
        reservation = reservation_values(**order_reservation(order, cause))
        async with self._transactions.begin() as transaction:
            send, reply = await sender(self._round_trips, transaction.connection), transaction.answers.text(Order, remembered(order))
            self._faults.reach(COMMITTING)
            is_made = await place_order(send, key, reply, (order, event, words), versions, jobs, reservation)
        if is_made:
            self._faults.reach(COMMITTED)
        return is_made


def order_reservation(order: Order, cause: Cause) -> dict[str, Any]:
    """Returns what holds the units of the order until it is due."""
    assert order.times.due is not None
    units = {line.sku: line.quantity for line in order.lines}
    where = {"reservation_id": order.id, "location_id": order.location_id, "order_id": order.id}
    return {**where, "lines": units, "expires_at": order.times.due, "cause": cause}


def remembered(answer: Order) -> Order:
    """The code is for the customer at the counter, and no write is ever answered with it; so it is kept in one place only."""
    return replace(answer, pickup_code="")
