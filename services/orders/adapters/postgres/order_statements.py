"""The statements that every change of an order takes: their texts are fixed, so that they stay prepared, and they go together."""

# ruff: noqa: S608  nothing but columns of ours is put into a statement
from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.orders.adapters.postgres.order_round_trips import named, parameters, positional
from services.orders.adapters.postgres.order_rows import ORDER_COLUMNS, order_values
from services.orders.adapters.postgres.tables import customer_order, order_event, order_item
from services.orders.domain.ordering.model import Order, OrderEvent
from shared.postgres.round_trips import Statement

_ORDER = parameters(customer_order)
_EVENT = parameters(order_event)
_FIXED = ("order_id", "customer_id", "order_number", "location_id", "currency", "fulfilment", "subtotal_minor", "payable_minor", "has_rx",
          "has_controlled", "contact_name", "contact_phone", "contact_email", "created_at", "search")  # fmt: skip
# What a change stores.
CHANGING = {name: value for name, value in _ORDER.items() if name not in _FIXED}

_LOCK = f"select {', '.join(column.name for column in ORDER_COLUMNS)} from customer_order where order_id = %s::uuid for update"
# The reservation of an order has the order's id.
_LINES = f"""
select {", ".join(f"i.{column.name}" for column in order_item.c)}, b.lot_id, b.quantity as lot_quantity, t.lot_number, t.expires_on
from order_item i
left join reservation_lot b on b.reservation_id = i.order_id and b.sku = i.sku
left join stock_lot t on t.lot_id = b.lot_id
where i.order_id = %s::uuid order by i.position, t.expires_on, b.lot_id
"""
_STORE = positional(f"""
update customer_order set {", ".join(f"{name} = {value}" for name, value in CHANGING.items())}
where order_id = %(order_id)s::uuid and version = %(version_before)s::bigint returning version
""")
_RETURNED = positional("""
update order_item set returned_quantity = changed.quantity
from unnest(%(skus)s::text[], %(quantities)s::int[]) as changed (sku, quantity)
where order_id = %(order_id)s::uuid and order_item.sku = changed.sku
""")
_ADD_EVENT = positional(f"insert into order_event ({', '.join(_EVENT)}) values ({', '.join(_EVENT.values())})")
_TO_FEED = "insert into order_outbox (order_id, number) values (%s::uuid, %s::int)"


def lock(order_id: UUID) -> Sequence[Statement]:
    """Locks and asks for an order, then for its lines with their lots: rows of ORDER_COLUMNS and of LINE_FIELDS."""
    return [(_LOCK, (str(order_id),)), (_LINES, (str(order_id),))]


def store(before: Order, after: Order) -> Sequence[Statement]:
    """Stores what changed of an order; the first one returns a row if it was still as it was before."""
    values = {**order_values(after), "version": after.version, "order_id": after.id, "version_before": before.version}
    address = values["delivery_address"]
    values["delivery_address"] = None if address is None else json.dumps(address)
    return [named(_STORE, values), *_store_returned(before, after)]


def add_event(event: OrderEvent) -> Sequence[Statement]:
    """Adds an event, which then waits for its place in the feed."""
    return [named(_ADD_EVENT, _event_values(event)), (_TO_FEED, (str(event.order_id), str(event.number)))]


def _store_returned(before: Order, after: Order) -> Sequence[Statement]:
    old = {line.sku: line.returned_quantity for line in before.lines}
    changed = [line for line in after.lines if line.returned_quantity != old[line.sku]]
    quantities = {"skus": [line.sku for line in changed], "quantities": [line.returned_quantity for line in changed]}
    return [named(_RETURNED, {"order_id": after.id, **quantities})] if changed else []


def _event_values(event: OrderEvent) -> dict[str, Any]:
    """Returns the columns of an event."""
    return {
        "order_id": event.order_id,
        "number": event.number,
        "kind": int(event.kind),
        "from_state": int(event.from_state or 0),
        "to_state": int(event.to_state),
        "actor": event.actor.name,
        "role": event.actor.role,
        "reason": event.reason,
        "details": json.dumps(dict(event.details)),
        "created_at": event.created_at,
    }
