"""What `migrate` needs to know of this service."""

from __future__ import annotations

from pathlib import Path

from services.orders.adapters.postgres import payment_tables  # noqa: F401  it adds its tables
from services.orders.adapters.postgres.tables import SCHEMA, metadata
from shared.postgres.migrations import ServiceSchema

_APPEND_ONLY = ("select", "insert")
_KEPT = ("select", "insert", "update")

# History is never changed: events, movements and uses of prescriptions can't be removed by the service, events and movements not altered.
schema = ServiceSchema(
    name=SCHEMA,
    metadata=metadata,
    scripts=Path(__file__).parent,
    privileges={
        "payment_fact": _APPEND_ONLY,
        "order_event": _APPEND_ONLY,
        "stock_movement": _APPEND_ONLY,
        "reservation_line": _APPEND_ONLY,
        "order_feed": ("select", "insert", "delete"),
        "order_outbox": ("select", "insert", "delete"),
        "pickup_guess": ("select", "insert", "update", "delete"),
        "reservation_lot": ("select", "insert", "update", "delete"),
        "webhook_event": ("select", "insert", "update", "delete"),
        "schema_version": ("select",),
        **dict.fromkeys(
            (
                *("medicine", "prescription", "prescription_use", "location", "stock_level", "stock_lot", "reservation"),
                *("customer_order", "order_item", "request_log"),
                *("payment", "refund"),
            ),
            _KEPT,
        ),
        "*": ("select", "insert", "update", "delete"),  # the job queue
    },
)
