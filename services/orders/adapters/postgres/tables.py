"""The tables of the orders service: catalogue, prescriptions, stock, orders.

Locks are taken in one order everywhere, so that nobody waits in a circle: order, prescriptions by id, reservation, stock levels by
(location, SKU), lots by (expiry, id); then come plain inserts.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP, TSVECTOR

from shared.postgres.request_log import request_log_table

SCHEMA = "orders"
metadata = MetaData(schema=SCHEMA)

_TIME = TIMESTAMP(timezone=True)


def _texts(*names: str) -> list[Column[Any]]:
    return [Column(name, Text, nullable=False) for name in names]


def _times(*names: str) -> list[Column[Any]]:
    return [Column(name, _TIME) for name in names]


def _versioned() -> list[Column[Any]]:
    return [
        Column("version", BigInteger, nullable=False, server_default="1"),
        Column("created_at", _TIME, nullable=False, server_default=text("clock_timestamp()")),
        Column("updated_at", _TIME, nullable=False, server_default=text("clock_timestamp()")),
    ]


# Text as words that can be searched for: letters and digits, apart where a number has a unit. Postgres alone would take `IBU-400` for a
# word and a negative number, `30/500` for the name of a file, and `400mg` for another word than `400 mg`.
SEARCHABLE = r"regexp_replace({}, '(\W|_)+|(?<=\d)(?=[A-Za-z])', ' ', 'g')"


def _weighted(*columns: str, weight: str) -> str:
    words = SEARCHABLE.format(" || ' ' || ".join(columns))
    return f"setweight(to_tsvector('simple', {words}), '{weight}')"


medicine = Table(
    "medicine",
    metadata,
    Column("sku", Text, primary_key=True),
    *_texts("display_name", "form", "strength", "currency"),
    Column("price_minor", BigInteger, nullable=False),
    *(Column(name, Boolean, nullable=False) for name in ("rx_required", "cold_chain", "withdrawn")),
    Column("schedule", SmallInteger, nullable=False),
    *(Column(name, Integer, nullable=False) for name in ("max_per_order", "max_per_period", "period_days", "min_remaining_shelf_days")),
    *_versioned(),
    Column(
        "search",
        TSVECTOR,
        Computed(f"{_weighted('sku', 'display_name', weight='A')} || {_weighted('form', 'strength', weight='B')}", persisted=True),
    ),
    CheckConstraint("price_minor >= 0", name="medicine_price_not_negative"),
)
Index("medicine_search", medicine.c.search, postgresql_using="gin")

prescription = Table(
    "prescription",
    metadata,
    Column("prescription_id", Uuid, primary_key=True),
    *_texts("customer_id", "number", "prescriber", "recorded_by"),
    *(Column(name, Date, nullable=False) for name in ("issued_on", "expires_on")),
    *(Column(name, Integer, nullable=False) for name in ("refills", "uses")),
    Column("skus", ARRAY(Text), nullable=False),
    Column("revoked", Boolean, nullable=False),
    *_texts("revoked_by", "revoke_reason"),
    *_versioned(),
    UniqueConstraint("customer_id", "number", name="prescription_number_unique"),
    CheckConstraint("uses >= 0 and uses <= refills + 1", name="prescription_uses_in_bounds"),
)
Index("prescription_of_customer", prescription.c.customer_id, prescription.c.created_at, prescription.c.prescription_id)

location = Table(
    "location",
    metadata,
    Column("location_id", Text, primary_key=True),
    *_texts("display_name"),
    Column("created_at", _TIME, nullable=False, server_default=text("clock_timestamp()")),
)

# `on_hand` are the units in sellable lots, `reserved` those of them that held reservations have. `reserved` may exceed `on_hand` after a
# loss: then nothing is sold.
stock_level = Table(
    "stock_level",
    metadata,
    Column("location_id", Text, ForeignKey(location.c.location_id, name="stock_level_location"), primary_key=True),
    Column("sku", Text, ForeignKey(medicine.c.sku, name="stock_level_medicine"), primary_key=True),
    *(Column(name, BigInteger, nullable=False, server_default="0") for name in ("on_hand", "reserved", "reorder_point")),
    Column("version", BigInteger, nullable=False, server_default="1"),
    CheckConstraint("on_hand >= 0", name="stock_level_on_hand_not_negative"),
    CheckConstraint("reserved >= 0", name="stock_level_reserved_not_negative"),
    postgresql_with={"fillfactor": "70"},
)
Index(
    "stock_level_low",
    stock_level.c.location_id,
    stock_level.c.sku,
    # Nothing of what every sale changes: the update would have to touch the index.
    postgresql_where=text("reorder_point > 0"),
)

stock_lot = Table(
    "stock_lot",
    metadata,
    Column("lot_id", Uuid, primary_key=True),
    *_texts("location_id", "sku", "lot_number", "state", "origin"),
    Column("expires_on", Date, nullable=False),
    Column("on_hand", BigInteger, nullable=False),
    *_versioned(),
    UniqueConstraint("location_id", "sku", "lot_number", "origin", name="stock_lot_unique"),
    CheckConstraint("on_hand >= 0", name="stock_lot_on_hand_not_negative"),
    CheckConstraint("state in ('SELLABLE', 'QUARANTINED', 'RECALLED', 'EXPIRED')", name="stock_lot_state_known"),
    CheckConstraint("origin in ('SUPPLY', 'RETURN')", name="stock_lot_origin_known"),
)
Index("stock_lot_by_expiry", stock_lot.c.location_id, stock_lot.c.expires_on, stock_lot.c.lot_id)
Index(
    "stock_lot_first_expired_first_out",
    *(stock_lot.c.location_id, stock_lot.c.sku, stock_lot.c.expires_on, stock_lot.c.lot_id),
    postgresql_where=text("state = 'SELLABLE' and on_hand > 0"),
)
Index("stock_lot_number", stock_lot.c.sku, stock_lot.c.lot_number)

reservation = Table(
    "reservation",
    metadata,
    Column("reservation_id", Uuid, primary_key=True),
    Column("location_id", Text, nullable=False),
    Column("order_id", Uuid),
    Column("state", Text, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    Column("created_at", _TIME, nullable=False, server_default=text("clock_timestamp()")),
    UniqueConstraint("order_id", name="reservation_order_unique"),
    CheckConstraint("state in ('HELD', 'COMMITTED', 'RELEASED', 'EXPIRED')", name="reservation_state_known"),
)
# Those of orders end with their orders; only the others run out by themselves.
Index("reservation_due", reservation.c.expires_at, postgresql_where=text("state = 'HELD' and order_id is null"))

reservation_line = Table(
    "reservation_line",
    metadata,
    Column("reservation_id", Uuid, ForeignKey(reservation.c.reservation_id, name="reservation_line_reservation"), primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("quantity", BigInteger, nullable=False),
    CheckConstraint("quantity > 0", name="reservation_line_quantity_positive"),
)

# The lots that the units of a committed reservation come from, and how many of them came back.
reservation_lot = Table(
    "reservation_lot",
    metadata,
    Column("reservation_id", Uuid, primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("lot_id", Uuid, ForeignKey(stock_lot.c.lot_id, name="reservation_lot_lot"), primary_key=True),
    Column("quantity", BigInteger, nullable=False),
    Column("returned_quantity", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("quantity > 0", name="reservation_lot_quantity_positive"),
    CheckConstraint("returned_quantity between 0 and quantity", name="reservation_lot_returned_in_bounds"),
)
Index("reservation_lot_by_lot", reservation_lot.c.lot_id)

# Only ever inserted.
stock_movement = Table(
    "stock_movement",
    metadata,
    Column("movement_id", BigInteger, Identity(always=True), primary_key=True),
    *_texts("location_id", "sku", "kind"),
    Column("lot_id", Uuid),
    *(
        Column(name, BigInteger, nullable=False)
        for name in ("on_hand_delta", "reserved_delta", "on_hand_after", "reserved_after", "lot_delta")
    ),
    *_texts("reason", "actor", "reference"),
    Column("created_at", _TIME, nullable=False, server_default=text("clock_timestamp()")),
)
Index("stock_movement_of_sku", stock_movement.c.location_id, stock_movement.c.sku, stock_movement.c.movement_id)
Index("stock_movement_of_location", stock_movement.c.location_id, stock_movement.c.movement_id)
Index("stock_movement_of_lot", stock_movement.c.lot_id, stock_movement.c.movement_id)

# `state` is the number of galen.orders.v1.OrderState. `due_at` is when the present state should be left.
customer_order = Table(
    "customer_order",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    *_texts("customer_id", "order_number", "location_id", "currency", "note"),
    Column("state", SmallInteger, nullable=False),
    Column("fulfilment", SmallInteger, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in ("subtotal_minor", "payable_minor")),
    *(Column(name, Boolean, nullable=False) for name in ("has_rx", "has_controlled")),
    *_texts("contact_name", "contact_phone", "contact_email"),
    Column("delivery_address", JSONB),
    *_texts("assignee", "preparer", "reviewer", "tracking_number", "pickup_code", "cancel_reason"),
    *(Column(name, SmallInteger, nullable=False) for name in ("payment_state", "points_state")),
    Column("points_minor", BigInteger, nullable=False),
    Column("pending_operation", SmallInteger, nullable=False),
    Column("pending_since", _TIME),
    Column("overdue", Boolean, nullable=False),
    *_times("due_at", "assigned_at", "authorized_at", "reviewed_at", "paid_at", "prepared_at", "ready_at", "sent_at", "finished_at"),
    *_times("cancelled_at", "expired_at", "returned_at"),
    Column("events", Integer, nullable=False),
    *_versioned(),
    # Written once: the words by which staff look for it, `array_to_tsvector` of what domain/ordering/search.py says of it.
    Column("search", TSVECTOR, nullable=False),
    UniqueConstraint("order_number", name="customer_order_number_unique"),
    CheckConstraint("state between 1 and 10", name="customer_order_state_known"),
)
Index("customer_order_of_customer", customer_order.c.customer_id, customer_order.c.created_at, customer_order.c.order_id)
Index("customer_order_newest", customer_order.c.created_at, customer_order.c.order_id)
Index("customer_order_in_state", customer_order.c.state, customer_order.c.created_at, customer_order.c.order_id)
Index(
    "customer_order_of_assignee",
    *(customer_order.c.assignee, customer_order.c.created_at, customer_order.c.order_id),
    postgresql_where=text("assignee <> ''"),
)
Index("customer_order_search", customer_order.c.search, postgresql_using="gin")
Index(
    "customer_order_queue",
    *(customer_order.c.location_id, customer_order.c.state, customer_order.c.due_at, customer_order.c.order_id),
    postgresql_where=text("state in (2, 3, 4, 7, 8)"),
)
Index("customer_order_due", customer_order.c.due_at, postgresql_where=text("state in (1, 4, 7, 8)"))
Index("customer_order_pending", customer_order.c.pending_since, postgresql_where=text("pending_operation <> 0"))

order_item = Table(
    "order_item",
    metadata,
    Column("order_id", Uuid, ForeignKey(customer_order.c.order_id, name="order_item_order"), primary_key=True),
    Column("position", Integer, primary_key=True),
    *_texts("sku", "display_name", "form", "strength"),
    *(Column(name, BigInteger, nullable=False) for name in ("unit_price_minor", "total_minor")),
    *(Column(name, Integer, nullable=False) for name in ("quantity", "returned_quantity")),
    *(Column(name, Boolean, nullable=False) for name in ("rx_required", "cold_chain")),
    Column("schedule", SmallInteger, nullable=False),
    Column("prescription_id", Uuid),
    UniqueConstraint("order_id", "sku", name="order_item_sku_unique"),
    CheckConstraint("quantity > 0 and returned_quantity between 0 and quantity", name="order_item_quantities"),
)
Index("order_item_sku", order_item.c.sku, order_item.c.order_id)

# An order counts once on each prescription that it names.
prescription_use = Table(
    "prescription_use",
    metadata,
    Column("prescription_id", Uuid, ForeignKey(prescription.c.prescription_id, name="prescription_use_prescription"), primary_key=True),
    Column("order_id", Uuid, ForeignKey(customer_order.c.order_id, name="prescription_use_order"), primary_key=True),
    Column("given_back", Boolean, nullable=False, server_default="false"),
)
Index("prescription_use_of_order", prescription_use.c.order_id)

# Only ever inserted; numbered from 1 without gaps under the lock of the order.
order_event = Table(
    "order_event",
    metadata,
    Column("order_id", Uuid, ForeignKey(customer_order.c.order_id, name="order_event_order"), primary_key=True),
    Column("number", Integer, primary_key=True),
    *(Column(name, SmallInteger, nullable=False) for name in ("kind", "from_state", "to_state")),
    *_texts("actor", "role", "reason"),
    Column("details", JSONB, nullable=False),
    Column("created_at", _TIME, nullable=False),
)

# Events that have no place in the feed yet. One writer moves them, so places are given in the order of commits: who reads the feed up to a
# place has seen all that is before it.
order_outbox = Table(
    "order_outbox",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True),
)

order_feed = Table(
    "order_feed",
    metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("order_id", Uuid, nullable=False),
    Column("number", Integer, nullable=False),
    *_texts("customer_id", "location_id"),
    Column("created_at", _TIME, nullable=False, server_default=text("clock_timestamp()")),
    UniqueConstraint("order_id", "number", name="order_feed_once"),
)
Index("order_feed_of_customer", order_feed.c.customer_id, order_feed.c.position)

# How often somebody tried to name an order's pickup code, less what time has forgiven since.
pickup_guess = Table(
    "pickup_guess",
    metadata,
    Column("order_id", Uuid, ForeignKey(customer_order.c.order_id, name="pickup_guess_order"), primary_key=True),
    Column("tries", Double, nullable=False),
    Column("counted_at", _TIME, nullable=False),
)

request_log = request_log_table(metadata)
