"""Catalogue, prescriptions, orders with their events, remembered replies, jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.jobs.schema import create_job_tables, drop_job_tables

revision = "0001"
down_revision = None

SCHEMA = "orders"
TIME = sa.TIMESTAMP(timezone=True)
NOW = sa.text("clock_timestamp()")
MEDICINE_SEARCH = (
    r"setweight(to_tsvector('simple', regexp_replace(sku || ' ' || display_name, '(\W|_)+|(?<=\d)(?=[A-Za-z])', ' ', 'g')), 'A') || "
    r"setweight(to_tsvector('simple', regexp_replace(form || ' ' || strength, '(\W|_)+|(?<=\d)(?=[A-Za-z])', ' ', 'g')), 'B')"
)
TABLES = (
    "customer_order",
    "medicine",
    "order_feed",
    "order_outbox",
    "prescription",
    "request_log",
    "order_event",
    "order_item",
    "prescription_use",
)


def upgrade() -> None:
    create_customer_order()
    create_medicine()
    create_order_feed()
    create_order_outbox()
    create_prescription()
    create_request_log()
    create_order_event()
    create_order_item()
    create_prescription_use()
    create_job_tables(op.get_bind())


def downgrade() -> None:
    drop_job_tables(op.get_bind())
    for table in reversed(TABLES):
        op.drop_table(table, schema=SCHEMA)


def create_customer_order() -> None:
    op.create_table(
        "customer_order",
        sa.Column("order_id", sa.Uuid, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("customer_id", "order_number", "location_id", "currency", "note")),
        *(sa.Column(name, sa.SmallInteger, nullable=False) for name in ("state", "fulfilment")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("subtotal_minor", "payable_minor")),
        *(sa.Column(name, sa.Boolean, nullable=False) for name in ("has_rx", "has_controlled")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("contact_name", "contact_phone", "contact_email")),
        sa.Column("delivery_address", postgresql.JSONB),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("assignee", "preparer", "reviewer", "tracking_number", "pickup_code", "cancel_reason")
        ),
        sa.Column("payment_state", sa.SmallInteger, nullable=False),
        sa.Column("points_state", sa.SmallInteger, nullable=False),
        sa.Column("points_minor", sa.BigInteger, nullable=False),
        sa.Column("pending_operation", sa.SmallInteger, nullable=False),
        sa.Column("pending_since", TIME),
        sa.Column("overdue", sa.Boolean, nullable=False),
        *(
            sa.Column(name, TIME)
            for name in (
                "due_at",
                "assigned_at",
                "authorized_at",
                "reviewed_at",
                "paid_at",
                "prepared_at",
                "ready_at",
                "sent_at",
                "finished_at",
                "cancelled_at",
                "expired_at",
                "returned_at",
            )
        ),
        sa.Column("events", sa.Integer, nullable=False),
        sa.Column("version", sa.BigInteger, server_default="1", nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIME, server_default=NOW, nullable=False),
        sa.Column("search", postgresql.TSVECTOR, nullable=False),
        sa.CheckConstraint("state between 1 and 10", name="customer_order_state_known"),
        sa.PrimaryKeyConstraint("order_id"),
        sa.UniqueConstraint("order_number", name="customer_order_number_unique"),
        schema=SCHEMA,
    )
    op.create_index("customer_order_due", "customer_order", ["due_at"], schema=SCHEMA, postgresql_where=sa.text("state in (1, 4, 7, 8)"))
    op.create_index("customer_order_in_state", "customer_order", ["state", "created_at", "order_id"], schema=SCHEMA)
    op.create_index("customer_order_newest", "customer_order", ["created_at", "order_id"], schema=SCHEMA)
    op.create_index("customer_order_of_customer", "customer_order", ["customer_id", "created_at", "order_id"], schema=SCHEMA)
    op.create_index(
        "customer_order_pending", "customer_order", ["pending_since"], schema=SCHEMA, postgresql_where=sa.text("pending_operation <> 0")
    )
    op.create_index(
        "customer_order_queue",
        "customer_order",
        ["location_id", "state", "due_at", "order_id"],
        schema=SCHEMA,
        postgresql_where=sa.text("state in (2, 3, 4, 7, 8)"),
    )
    op.create_index(
        "customer_order_of_assignee",
        "customer_order",
        ["assignee", "created_at", "order_id"],
        schema=SCHEMA,
        postgresql_where=sa.text("assignee <> ''"),
    )
    op.create_index("customer_order_search", "customer_order", ["search"], schema=SCHEMA, postgresql_using="gin")


def create_medicine() -> None:
    op.create_table(
        "medicine",
        sa.Column("sku", sa.Text, nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("form", sa.Text, nullable=False),
        sa.Column("strength", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("price_minor", sa.BigInteger, nullable=False),
        sa.Column("rx_required", sa.Boolean, nullable=False),
        sa.Column("cold_chain", sa.Boolean, nullable=False),
        sa.Column("withdrawn", sa.Boolean, nullable=False),
        sa.Column("schedule", sa.SmallInteger, nullable=False),
        sa.Column("max_per_order", sa.Integer, nullable=False),
        sa.Column("max_per_period", sa.Integer, nullable=False),
        sa.Column("period_days", sa.Integer, nullable=False),
        sa.Column("min_remaining_shelf_days", sa.Integer, nullable=False),
        sa.Column("version", sa.BigInteger, server_default="1", nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIME, server_default=NOW, nullable=False),
        sa.Column(
            "search",
            postgresql.TSVECTOR,
            sa.Computed(MEDICINE_SEARCH, persisted=True),
        ),
        sa.CheckConstraint("price_minor >= 0", name="medicine_price_not_negative"),
        sa.PrimaryKeyConstraint("sku"),
        schema=SCHEMA,
    )
    op.create_index("medicine_search", "medicine", ["search"], schema=SCHEMA, postgresql_using="gin")


def create_order_feed() -> None:
    op.create_table(
        "order_feed",
        sa.Column("position", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("location_id", sa.Text, nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("position"),
        sa.UniqueConstraint("order_id", "number", name="order_feed_once"),
        schema=SCHEMA,
    )
    op.create_index("order_feed_of_customer", "order_feed", ["customer_id", "position"], schema=SCHEMA)


def create_order_outbox() -> None:
    op.create_table(
        "order_outbox",
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("order_id", "number"),
        schema=SCHEMA,
    )


def create_prescription() -> None:
    op.create_table(
        "prescription",
        sa.Column("prescription_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("prescriber", sa.Text, nullable=False),
        sa.Column("recorded_by", sa.Text, nullable=False),
        sa.Column("issued_on", sa.Date, nullable=False),
        sa.Column("expires_on", sa.Date, nullable=False),
        sa.Column("refills", sa.Integer, nullable=False),
        sa.Column("uses", sa.Integer, nullable=False),
        sa.Column("skus", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("revoked", sa.Boolean, nullable=False),
        sa.Column("revoked_by", sa.Text, nullable=False),
        sa.Column("revoke_reason", sa.Text, nullable=False),
        sa.Column("version", sa.BigInteger, server_default="1", nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIME, server_default=NOW, nullable=False),
        sa.CheckConstraint("uses >= 0 and uses <= refills + 1", name="prescription_uses_in_bounds"),
        sa.PrimaryKeyConstraint("prescription_id"),
        sa.UniqueConstraint("customer_id", "number", name="prescription_number_unique"),
        schema=SCHEMA,
    )
    op.create_index("prescription_of_customer", "prescription", ["customer_id", "created_at", "prescription_id"], schema=SCHEMA)


def create_request_log() -> None:
    op.create_table(
        "request_log",
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("reply", postgresql.JSONB),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("actor", "request_id"),
        schema=SCHEMA,
    )


def create_order_event() -> None:
    op.create_table(
        "order_event",
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("from_state", sa.SmallInteger, nullable=False),
        sa.Column("to_state", sa.SmallInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("details", postgresql.JSONB, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.customer_order.order_id"], name="order_event_order"),
        sa.PrimaryKeyConstraint("order_id", "number"),
        schema=SCHEMA,
    )


def create_order_item() -> None:
    op.create_table(
        "order_item",
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("sku", sa.Text, nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("form", sa.Text, nullable=False),
        sa.Column("strength", sa.Text, nullable=False),
        sa.Column("unit_price_minor", sa.BigInteger, nullable=False),
        sa.Column("total_minor", sa.BigInteger, nullable=False),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("returned_quantity", sa.Integer, nullable=False),
        sa.Column("rx_required", sa.Boolean, nullable=False),
        sa.Column("cold_chain", sa.Boolean, nullable=False),
        sa.Column("schedule", sa.SmallInteger, nullable=False),
        sa.Column("prescription_id", sa.Uuid),
        sa.CheckConstraint("quantity > 0 and returned_quantity between 0 and quantity", name="order_item_quantities"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.customer_order.order_id"], name="order_item_order"),
        sa.PrimaryKeyConstraint("order_id", "position"),
        sa.UniqueConstraint("order_id", "sku", name="order_item_sku_unique"),
        schema=SCHEMA,
    )
    op.create_index("order_item_sku", "order_item", ["sku", "order_id"], schema=SCHEMA)


def create_prescription_use() -> None:
    op.create_table(
        "prescription_use",
        sa.Column("prescription_id", sa.Uuid, nullable=False),
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("given_back", sa.Boolean, server_default="false", nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.customer_order.order_id"], name="prescription_use_order"),
        sa.ForeignKeyConstraint(["prescription_id"], ["orders.prescription.prescription_id"], name="prescription_use_prescription"),
        sa.PrimaryKeyConstraint("prescription_id", "order_id"),
        schema=SCHEMA,
    )
    op.create_index("prescription_use_of_order", "prescription_use", ["order_id"], schema=SCHEMA)
