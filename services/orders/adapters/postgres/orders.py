"""Orders, read: a fixed number of statements, however long they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, and_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orders.adapters.postgres.order_rows import EVENT_COLUMNS, ORDER_COLUMNS, event_of, order_of, read_lines
from services.orders.adapters.postgres.payment_tables import payment
from services.orders.adapters.postgres.tables import customer_order, order_event
from services.orders.domain.ordering.model import EventKind, Line, Order, OrderEvent, PaymentNote
from services.orders.domain.payments.model import ENDED

# An order has one payment at most that did not fail and was not given up.
_PAYMENT = and_(payment.c.order_id == customer_order.c.order_id, payment.c.state.not_in([state.value for state in ENDED]))
# Orders with what order_with_payment needs.
WITH_PAYMENT: Select[Any] = select(
    *ORDER_COLUMNS,
    payment.c.payment_id,
    (payment.c.captured_minor + payment.c.points_captured_minor).label("taken"),
    (payment.c.refunded_minor + payment.c.points_returned_minor).label("returned"),
).select_from(customer_order.outerjoin(payment, _PAYMENT))


def order_with_payment(row: Row[Any], lines: Iterable[Line]) -> Order:
    """Returns the order of a row of WITH_PAYMENT."""
    return replace(order_of(row, lines), payment=PaymentNote(row.payment_id, row.taken, row.returned) if row.payment_id else None)


class OrderReads:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def get(self, order_id: UUID, customer_id: str) -> Order | None:
        """Returns the customer's order with its lots. Two statements."""
        async with self._engine.connect() as connection:
            return await _order(connection, order_id, customer_id)

    async def get_with_events(self, order_id: UUID, customer_id: str, limit: int) -> tuple[Order | None, Sequence[OrderEvent]]:
        """Returns the order and its latest events, latest first. Three statements."""
        async with self._engine.connect() as connection:
            order = await _order(connection, order_id, customer_id)
            events = [] if order is None else await _latest_events(connection, order_id, limit)
        return order, events

    async def cancel_request(self, order_id: UUID) -> OrderEvent | None:
        """Returns the latest event that asked for the order's cancellation."""
        asked = (order_event.c.order_id == order_id, order_event.c.kind == EventKind.CANCEL_REQUESTED)
        query = select(*EVENT_COLUMNS).where(*asked).order_by(order_event.c.number.desc()).limit(1)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else event_of(row)


async def _order(connection: AsyncConnection, order_id: UUID, customer_id: str) -> Order | None:
    own = (customer_order.c.order_id == order_id, customer_order.c.customer_id == customer_id)
    row = (await connection.execute(WITH_PAYMENT.where(*own))).first()
    return None if row is None else order_with_payment(row, (await read_lines(connection, [order_id], lots=True))[order_id])


async def _latest_events(connection: AsyncConnection, order_id: UUID, limit: int) -> Sequence[OrderEvent]:
    query = select(*EVENT_COLUMNS).where(order_event.c.order_id == order_id).order_by(order_event.c.number.desc()).limit(limit)
    return [event_of(row) for row in await connection.execute(query)]
