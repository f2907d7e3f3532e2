"""What happened to an order, and how many orders wait for staff."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import and_, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.adapters.postgres.order_rows import EVENT_COLUMNS, event_of
from services.orders.adapters.postgres.tables import customer_order, location, order_event
from services.orders.application.ordering.read_ports import EventPage, QueueCount
from services.orders.domain.ordering.model import State

# In the order in which they are worked on.
_WAITING = (State.UNDER_REVIEW, State.PAID, State.PREPARING, State.READY, State.SHIPPED)
_COUNTS = (
    select(
        customer_order.c.state,
        func.count().label("orders"),
        func.count().filter(customer_order.c.assignee == "").label("unclaimed"),
        func.count().filter(customer_order.c.due_at < func.clock_timestamp()).label("overdue"),
        func.min(customer_order.c.due_at).label("oldest_due_at"),
    )
    # The states in the words of the index.
    .where(customer_order.c.location_id == bindparam("location_id"), text("state in (2, 3, 4, 7, 8)"))
    .group_by(customer_order.c.state)
)
_LOCATION = select(location.c.location_id).where(location.c.location_id == bindparam("location_id"))


class PostgresOrderHistory:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def events(self, customer_id: str, order_id: UUID, *, after: int, limit: int) -> EventPage | None:
        """One statement: the order, and those of its events that follow."""
        following = and_(order_event.c.order_id == customer_order.c.order_id, order_event.c.number > after)
        query = (
            select(customer_order.c.order_number, *EVENT_COLUMNS)
            .select_from(customer_order.outerjoin(order_event, following))
            .where(customer_order.c.order_id == order_id, customer_order.c.customer_id == customer_id)
            .order_by(order_event.c.number)
            .limit(limit + 1)
        )
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        if not rows:
            return None
        events = [event_of(row) for row in rows[:limit] if row.number is not None]
        return EventPage(rows[0].order_number, events, events[-1].number if len(rows) > limit else None)


class PostgresOrderQueue:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def count(self, location_id: str) -> Sequence[QueueCount] | None:
        """One statement; another one only where nothing waits."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(_COUNTS, {"location_id": location_id})
            counts = {row.state: QueueCount(State(row.state), row.orders, row.unclaimed, row.overdue, row.oldest_due_at) for row in rows}
            if not counts and (await connection.execute(_LOCATION, {"location_id": location_id})).first() is None:
                return None
        return [counts.get(state) or QueueCount(state, 0, 0, 0, None) for state in _WAITING]
