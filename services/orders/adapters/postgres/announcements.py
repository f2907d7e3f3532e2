"""What events set off, as jobs in the transaction of the event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orders.adapters.postgres.order_round_trips import sender, sender_in_transaction
from services.orders.adapters.postgres.order_rows import EVENT_COLUMNS, ORDER_COLUMNS, locked_order, told_event
from services.orders.domain.notifications.notification import Channel, is_told
from services.orders.domain.ordering.model import EventKind, Order, OrderEvent, State
from shared.jobs.queue import JobQueue
from shared.postgres.round_trips import RoundTrips, Statement

NOTIFY_JOB = "notify"
REGISTER_PURCHASE_JOB = "register_purchase"

_EVENT = f"select {', '.join(column.name for column in EVENT_COLUMNS)} from order_event where order_id = %s::uuid and number = %s::int"  # noqa: S608
_ORDER = f"select {', '.join(column.name for column in ORDER_COLUMNS)} from customer_order where order_id = %s::uuid"  # noqa: S608


class NotificationsToSend:
    """A job for each channel that is told of the event."""

    def __init__(self, jobs: JobQueue, channels: Sequence[Channel]) -> None:
        self._jobs = jobs
        self._channels = channels
        self._round_trips = RoundTrips()

    async def announce(self, connection: AsyncConnection, order: Order, event: OrderEvent) -> None:
        jobs = self.statements(order, event)
        if jobs:
            send = await sender_in_transaction(self._round_trips, connection)
            await send(jobs)

    def statements(self, order: Order, event: OrderEvent) -> Sequence[Statement]:
        """Returns what `announce` does, for who has more to send with it."""
        return [self._jobs.enqueuing(NOTIFY_JOB, **job) for job in self._told(order, event)]

    def _told(self, order: Order, event: OrderEvent) -> Sequence[dict[str, Any]]:
        told = (channel for channel in self._channels if is_told(channel, order, event))
        return [{"order_id": str(order.id), "number": event.number, "channel": channel.value} for channel in told]


class PurchasesToRegister:
    """The job that brings the points of an order that is completed."""

    def __init__(self, jobs: JobQueue) -> None:
        self._jobs = jobs

    async def announce(self, connection: AsyncConnection, order: Order, event: OrderEvent) -> None:
        if event.kind is EventKind.STATE_CHANGED and event.to_state is State.COMPLETED:
            await self._jobs.enqueue(connection, REGISTER_PURCHASE_JOB, order_id=str(order.id))


class PostgresEvents:
    """Events as they are told of."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._round_trips = RoundTrips()

    async def read(self, order_id: UUID, number: int) -> tuple[Order, OrderEvent] | None:
        """Returns the event and its order as it is now, without lines; None if there is no such event."""
        async with self._engine.connect() as connection:
            send = await sender(self._round_trips, connection)
            events, orders = await send([(_EVENT, (str(order_id), str(number))), (_ORDER, (str(order_id),))])
        return (locked_order(orders[0], ()), told_event(events[0])) if events and orders else None
