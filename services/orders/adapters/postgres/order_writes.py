"""Orders, changed: locked, stored with their version, and never without an event."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Row, SmallInteger, any_, bindparam, literal_column, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orders.adapters.postgres import order_statements as statements
from services.orders.adapters.postgres.order_round_trips import sender_in_transaction
from services.orders.adapters.postgres.order_rows import ORDER_COLUMNS, locked_order, order_of, read_lines
from services.orders.adapters.postgres.tables import customer_order
from services.orders.domain.ordering.model import Order, OrderEvent, State
from shared.postgres.round_trips import RoundTrips, Rows, Statement

QUEUED = (State.PAID, State.PREPARING, State.SHIPPED, State.UNDER_REVIEW, State.READY)

_IS_UNCLAIMED = (customer_order.c.assignee == "", customer_order.c.pending_operation == 0)
_NEXT = (
    select(*ORDER_COLUMNS)
    .where(
        customer_order.c.location_id == bindparam("location"),
        customer_order.c.state == any_(bindparam("states", type_=ARRAY(SmallInteger))),
        # The index of the queue knows these only.
        customer_order.c.state.in_(literal_column(str(int(state))) for state in QUEUED),
        or_(customer_order.c.state != State.UNDER_REVIEW, customer_order.c.customer_id != bindparam("not_of")),
        *_IS_UNCLAIMED,
    )
    .order_by(customer_order.c.due_at, customer_order.c.order_id)
    .limit(1)
    .with_for_update(skip_locked=True)
)


class Announcement(Protocol):
    """What follows from an event and must not be lost: done in the transaction of the event, so that both are there or neither."""

    async def announce(self, connection: AsyncConnection, order: Order, event: OrderEvent) -> None:
        """Notes what the event, after which the order is like this, sets off."""


class OrderWrites:
    """Orders inside a transaction."""

    def __init__(
        self, connection: AsyncConnection, announcements: Sequence[Announcement] = (), round_trips: RoundTrips | None = None
    ) -> None:
        """Who keeps `round_trips` for all transactions has the statements prepared on the connections."""
        self._connection = connection
        self._announcements = announcements
        self._round_trips = round_trips or RoundTrips(prepares=False)

    async def lock(self, order_id: UUID) -> Order | None:
        """Returns the order with its lots, which nobody else changes until the transaction ends."""
        order, lines = await self._send(statements.lock(order_id))
        return locked_order(order[0], lines) if order else None

    async def lock_next(self, location_id: str, states: Collection[State], *, not_of: str) -> Order | None:
        """Locks the unclaimed order of the location that is due first and that nobody locks now; leaves out reviews of one's own."""
        values = {"location": location_id, "states": [int(state) for state in states], "not_of": not_of.removeprefix("customers/")}
        return await self._with_lines((await self._connection.execute(_NEXT, values)).first())

    async def _with_lines(self, row: Row[Any] | None) -> Order | None:
        if row is None:
            return None
        lines = await read_lines(self._connection, [row.order_id], lots=True)
        return order_of(row, lines[row.order_id])

    async def record(self, before: Order, after: Order, event: OrderEvent) -> None:
        """Stores what changed of an order that is locked, adds the event, its number taken under the lock, and notes what it sets off."""
        stored, *_ = await self._send([*statements.store(before, after), *statements.add_event(event)])
        assert stored, "an order is stored by who has locked it"
        await self.announce(after, event)

    async def announce(self, order: Order, event: OrderEvent) -> None:
        """Notes what a stored event sets off."""
        for announcement in self._announcements:
            await announcement.announce(self._connection, order, event)

    async def _send(self, asked: Sequence[Statement]) -> Sequence[Rows]:
        send = await sender_in_transaction(self._round_trips, self._connection)
        return await send(asked)
