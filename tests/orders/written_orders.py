"""Orders and events written straight into the tables: for whoever reads them it does not matter how they came about."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg

from services.orders.domain.ordering.model import EventKind, State
from services.orders.domain.ordering.search import stored_words
from tests.orders.filters import Facts

Connection = psycopg.AsyncConnection[Any]
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class WrittenOrder:
    """What is of interest about an order; `skus` are its lines."""

    customer_id: str = field(default_factory=lambda: str(uuid4()))
    id: UUID = field(default_factory=uuid4)
    number: str = field(default_factory=lambda: str(uuid4().int)[:16])
    created_at: datetime = LONG_AGO
    state: State = State.PAID
    total_minor: int = 1000
    skus: Sequence[str] = ("SKU-1",)
    assignee: str = ""
    has_rx: bool = False
    location_id: str = "main"
    due_at: datetime | None = None
    contact_name: str = "Ana Álvarez"
    contact_phone: str = "+49 30 555"
    pickup_code: str = "123456"

    @property
    def name(self) -> str:
        return f"customers/{self.customer_id}/orders/{self.id}"

    @property
    def facts(self) -> Facts:
        return Facts(self.state, self.created_at, self.total_minor, self.skus, self.assignee, self.has_rx)

    @property
    def words(self) -> Sequence[str]:
        return stored_words(number=self.number, name=self.contact_name, phone=self.contact_phone, medicines=self.skus)


async def write_orders(connection: Connection, *orders: WrittenOrder) -> None:
    """Writes the orders, without events."""
    async with connection.cursor() as cursor:
        await cursor.executemany(_ORDER, [_order_row(order) for order in orders])
        lines = [{"id": order.id, "position": place, "sku": sku} for order in orders for place, sku in enumerate(order.skus, 1)]
        await cursor.executemany(_LINE, lines)


async def write_event(connection: Connection, order: WrittenOrder, number: int, **fields: Any) -> None:
    """Records an event of the order, which has no place in the feed yet."""
    event = {"kind": EventKind.STATE_CHANGED, "from_state": 0, "to_state": order.state, "reason": "", "details": {}, **fields}
    event["details"] = json.dumps(event["details"])
    await connection.execute(_EVENT, {"id": order.id, "number": number, **event})
    await connection.execute("insert into order_outbox (order_id, number) values (%s, %s)", [order.id, number])


_ORDER = """
    insert into customer_order (
        order_id, customer_id, order_number, location_id, currency, note, state, fulfilment, subtotal_minor, payable_minor, has_rx,
        has_controlled, contact_name, contact_phone, contact_email, assignee, preparer, reviewer, tracking_number, pickup_code,
        cancel_reason, payment_state, points_state, points_minor, pending_operation, overdue, due_at, events, created_at, updated_at,
        search)
    values (%(id)s, %(customer_id)s, %(number)s, %(location_id)s, 'EUR', '', %(state)s, 2, %(total_minor)s, %(total_minor)s, %(has_rx)s,
        false, %(contact_name)s, %(contact_phone)s, '', %(assignee)s, '', '', '', %(pickup_code)s,
        '', 1, 0, 0, 0, false, %(due_at)s, 0, %(created_at)s, %(created_at)s, array_to_tsvector(%(words)s))
"""
_LINE = """
    insert into order_item (order_id, position, sku, display_name, form, strength, unit_price_minor, total_minor, quantity,
        returned_quantity, rx_required, cold_chain, schedule)
    values (%(id)s, %(position)s, %(sku)s, 'Medicine', 'tablet', '400 mg', 100, 100, 1, 0, false, false, 0)
"""
_EVENT = """
    insert into order_event (order_id, number, kind, from_state, to_state, actor, role, reason, details, created_at)
    values (%(id)s, %(number)s, %(kind)s, %(from_state)s, %(to_state)s, 'customers/someone', 'staff', %(reason)s, %(details)s,
        clock_timestamp())
"""


def _order_row(order: WrittenOrder) -> dict[str, Any]:
    fields = ("id", "customer_id", "number", "location_id", "total_minor", "has_rx", "assignee", "pickup_code", "due_at", "created_at")
    row = {name: getattr(order, name) for name in (*fields, "contact_name", "contact_phone")}
    return {**row, "state": int(order.state), "words": [*order.words]}
