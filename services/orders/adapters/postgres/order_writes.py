"""Orders, changed: locked, stored with their version, and never without an event."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Row, SmallInteger, any_, bindparam, insert, literal_column, null, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orders.adapters.postgres.order_rows import ORDER_COLUMNS, order_of, order_values, read_lines
from services.orders.adapters.postgres.tables import customer_order, order_event, order_item, order_outbox
from services.orders.domain.ordering.model import Order, OrderEvent, State

QUEUED = (State.PAID, State.PREPARING, State.SHIPPED, State.UNDER_REVIEW, State.READY)

_LOCKED = select(*ORDER_COLUMNS).where(customer_order.c.order_id == bindparam("id")).with_for_update()
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
_RETURNED = (
    update(order_item)
    .where(order_item.c.order_id == bindparam("id"), order_item.c.sku == bindparam("line_sku"))
    .values(returned_quantity=bindparam("returned"))
)


class Announcement(Protocol):
    """What follows from an event and must not be lost: done in the transaction of the event, so that both are there or neither."""

    async def announce(self, connection: AsyncConnection, order: Order, event: OrderEvent) -> None:
        """Notes what the event, after which the order is like this, sets off."""


class OrderWrites:
    """Orders inside a transaction."""

    def __init__(self, connection: AsyncConnection, announcements: Sequence[Announcement] = ()) -> None:
        self._connection = connection
        self._announcements = announcements

    async def lock(self, order_id: UUID) -> Order | None:
        """Returns the order with its lots, which nobody else changes until the transaction ends."""
        return await self._with_lines((await self._connection.execute(_LOCKED, {"id": order_id})).first())

    async def lock_next(self, location_id: str, states: Collection[State], *, not_of: str) -> Order | None:
        """Locks the unclaimed order of the location that is due first and that nobody locks now; leaves out reviews of one's own."""
        values = {"location": location_id, "states": [int(state) for state in states], "not_of": not_of.removeprefix("customers/")}
        return await self._with_lines((await self._connection.execute(_NEXT, values)).first())

    async def _with_lines(self, row: Row[Any] | None) -> Order | None:
        if row is None:
            return None
        lines = await read_lines(self._connection, [row.order_id], lots=True)
        return order_of(row, lines[row.order_id])

    async def store(self, before: Order, after: Order) -> None:
        """Stores what changed of an order that is locked."""
        values = order_values(after)
        if values["delivery_address"] is None:
            values["delivery_address"] = null()
        same = (customer_order.c.order_id == after.id, customer_order.c.version == before.version)
        stored = await self._connection.execute(update(customer_order).where(*same).values(version=after.version, **values))
        assert stored.rowcount == 1, "an order is stored by who has locked it"
        await self._store_returned(before, after)

    async def append_event(self, order: Order, event: OrderEvent) -> None:
        """Adds the event that the order has just had, its number taken under the lock, and what it sets off."""
        await self._connection.execute(insert(order_event).values(event_values(event)))
        await self._connection.execute(insert(order_outbox).values(order_id=event.order_id, number=event.number))
        await self.announce(order, event)

    async def announce(self, order: Order, event: OrderEvent) -> None:
        """Notes what a stored event sets off."""
        for announcement in self._announcements:
            await announcement.announce(self._connection, order, event)

    async def _store_returned(self, before: Order, after: Order) -> None:
        old = {line.sku: line.returned_quantity for line in before.lines}
        changed = [line for line in after.lines if line.returned_quantity != old[line.sku]]
        if changed:
            rows = [{"id": after.id, "line_sku": line.sku, "returned": line.returned_quantity} for line in changed]
            await self._connection.execute(_RETURNED, rows)


def event_values(event: OrderEvent) -> dict[str, Any]:
    """Returns the columns of an event."""
    return {
        "order_id": event.order_id,
        "number": event.number,
        "kind": event.kind,
        "from_state": event.from_state or 0,
        "to_state": event.to_state,
        "actor": event.actor.name,
        "role": event.actor.role,
        "reason": event.reason,
        "details": dict(event.details),
        "created_at": event.created_at,
    }
