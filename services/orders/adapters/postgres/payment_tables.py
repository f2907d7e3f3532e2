"""The tables of payments, refunds and the provider's messages.

Locks: the order, then its payment, then its refunds; what follows is as tables.py says.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from services.orders.adapters.postgres.tables import customer_order, metadata

_TIME = TIMESTAMP(timezone=True)


def _texts(*names: str) -> list[Column[Any]]:
    return [Column(name, Text, nullable=False, server_default="") for name in names]


def _amounts(*names: str) -> list[Column[Any]]:
    return [Column(name, BigInteger, nullable=False, server_default="0") for name in names]


# `state` and `method` are the numbers of the contract; `wish`, `card_standing` and `points_standing` those of domain/payments/model.py.
payment = Table(
    "payment",
    metadata,
    Column("payment_id", Uuid, primary_key=True),
    Column("order_id", Uuid, ForeignKey(customer_order.c.order_id, name="payment_order"), nullable=False),
    *(Column(name, Text, nullable=False) for name in ("customer_id", "order_number", "currency")),
    *(Column(name, SmallInteger, nullable=False) for name in ("method", "state", "wish", "card_standing", "points_standing")),
    *_amounts("card_minor", "points_minor", "captured_minor", "refunded_minor", "points_captured_minor", "points_returned_minor"),
    # What was taken in place of what was asked for, and people have accepted; 0 if they had not to.
    *_amounts("accepted_minor"),
    *(Column(name, Boolean, nullable=False) for name in ("manual_capture", "quarantined", "settled")),
    *_texts("card", "intent", "client_secret", "redirect_url", "hold", "points_operation", "failure"),
    *(Column(name, _TIME) for name in ("authorized_at", "captured_at")),
    Column("attempt", Integer, nullable=False, server_default="1"),
    # When the provider is to be asked again, in case its message got lost; null where nothing is awaited.
    Column("look_at", _TIME),
    Column("version", BigInteger, nullable=False),
    *(Column(name, _TIME, nullable=False) for name in ("created_at", "updated_at")),
    CheckConstraint("card_minor >= 0 and points_minor >= 0 and card_minor + points_minor > 0", name="payment_amounts"),
    CheckConstraint("refunded_minor <= captured_minor", name="payment_refunds_in_bounds"),
    CheckConstraint("points_returned_minor <= points_captured_minor", name="payment_points_in_bounds"),
)
Index("payment_live", payment.c.order_id, unique=True, postgresql_where=text("state not in (7, 8)"))
Index("payment_of_order", payment.c.order_id, payment.c.created_at, payment.c.payment_id)
Index("payment_intent", payment.c.intent, unique=True, postgresql_where=text("intent <> ''"))
Index("payment_look", payment.c.look_at, postgresql_where=text("look_at is not null"))
Index("payment_started", payment.c.created_at, payment.c.payment_id)

# What the provider said, each once. Only ever inserted.
payment_fact = Table(
    "payment_fact",
    metadata,
    Column("payment_id", Uuid, ForeignKey(payment.c.payment_id, name="payment_fact_payment"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("reference", Text, primary_key=True),
    Column("at", _TIME, primary_key=True),
    Column("amount_minor", BigInteger, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("detail", Text, nullable=False),
)

# The inbox: the provider's messages as they came, but for their secrets, each once.
# `state`: NEW, DONE, WAITING (its payment is not known yet), QUARANTINED.
webhook_event = Table(
    "webhook_event",
    metadata,
    Column("event_id", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("kind", "object_id", "state")),
    Column("body", LargeBinary, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    *(Column(name, _TIME, nullable=False) for name in ("created_at", "received_at")),
    CheckConstraint("state in ('NEW', 'DONE', 'WAITING', 'QUARANTINED')", name="webhook_event_state_known"),
)
Index("webhook_event_made", webhook_event.c.created_at)
Index("webhook_event_open", webhook_event.c.received_at, postgresql_where=text("state in ('NEW', 'WAITING')"))

refund = Table(
    "refund",
    metadata,
    Column("refund_id", Uuid, primary_key=True),
    Column("payment_id", Uuid, ForeignKey(payment.c.payment_id, name="refund_payment"), nullable=False),
    Column("order_id", Uuid, ForeignKey(customer_order.c.order_id, name="refund_order"), nullable=False),
    *(Column(name, Text, nullable=False) for name in ("customer_id", "currency", "reason")),
    Column("state", SmallInteger, nullable=False),
    *_amounts("card_minor", "points_minor", "take_back_part", "take_back_whole", "points_taken_back_minor"),
    Column("lines", JSONB, nullable=False),
    *_texts("provider_reference", "failure"),
    *(Column(name, Boolean, nullable=False, server_default="false") for name in ("card_done", "points_done", "take_back_done")),
    Column("attempt", Integer, nullable=False, server_default="1"),
    Column("version", BigInteger, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("finished_at", _TIME),
    CheckConstraint("card_minor >= 0 and points_minor >= 0 and card_minor + points_minor > 0", name="refund_amounts"),
)
Index("refund_of_order", refund.c.order_id, refund.c.created_at, refund.c.refund_id)
Index("refund_of_payment", refund.c.payment_id)
Index("refund_open", refund.c.created_at, postgresql_where=text("state = 1"))
Index("refund_reference", refund.c.provider_reference, postgresql_where=text("provider_reference <> ''"))
