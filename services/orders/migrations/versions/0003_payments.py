"""Payments, what the provider says of them, refunds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"

SCHEMA = "orders"
TIME = sa.TIMESTAMP(timezone=True)
TABLES = ("payment", "payment_fact", "webhook_event", "refund")


def upgrade() -> None:
    create_payment()
    create_payment_fact()
    create_webhook_event()
    create_refund()


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table, schema=SCHEMA)


def create_payment() -> None:
    op.create_table(
        "payment",
        sa.Column("payment_id", sa.Uuid, nullable=False),
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("order_number", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("method", sa.SmallInteger, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("wish", sa.SmallInteger, nullable=False),
        sa.Column("card_standing", sa.SmallInteger, nullable=False),
        sa.Column("points_standing", sa.SmallInteger, nullable=False),
        sa.Column("card_minor", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("points_minor", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("captured_minor", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("refunded_minor", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("points_captured_minor", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("points_returned_minor", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("manual_capture", sa.Boolean, nullable=False),
        sa.Column("quarantined", sa.Boolean, nullable=False),
        sa.Column("settled", sa.Boolean, nullable=False),
        sa.Column("card", sa.Text, server_default="", nullable=False),
        sa.Column("intent", sa.Text, server_default="", nullable=False),
        sa.Column("client_secret", sa.Text, server_default="", nullable=False),
        sa.Column("redirect_url", sa.Text, server_default="", nullable=False),
        sa.Column("hold", sa.Text, server_default="", nullable=False),
        sa.Column("points_operation", sa.Text, server_default="", nullable=False),
        sa.Column("failure", sa.Text, server_default="", nullable=False),
        sa.Column("authorized_at", TIME),
        sa.Column("captured_at", TIME),
        sa.Column("attempt", sa.Integer, server_default="1", nullable=False),
        sa.Column("look_at", TIME),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.CheckConstraint("card_minor >= 0 and points_minor >= 0 and card_minor + points_minor > 0", name="payment_amounts"),
        sa.CheckConstraint("points_returned_minor <= points_captured_minor", name="payment_points_in_bounds"),
        sa.CheckConstraint("refunded_minor <= captured_minor", name="payment_refunds_in_bounds"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.customer_order.order_id"], name="payment_order"),
        sa.PrimaryKeyConstraint("payment_id"),
        schema=SCHEMA,
    )
    op.create_index("payment_intent", "payment", ["intent"], unique=True, schema=SCHEMA, postgresql_where=sa.text("intent <> ''"))
    op.create_index("payment_live", "payment", ["order_id"], unique=True, schema=SCHEMA, postgresql_where=sa.text("state not in (7, 8)"))
    op.create_index("payment_look", "payment", ["look_at"], schema=SCHEMA, postgresql_where=sa.text("look_at is not null"))
    op.create_index("payment_of_order", "payment", ["order_id", "created_at", "payment_id"], schema=SCHEMA)
    op.create_index("payment_started", "payment", ["created_at", "payment_id"], schema=SCHEMA)


def create_payment_fact() -> None:
    op.create_table(
        "payment_fact",
        sa.Column("payment_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["payment_id"], ["orders.payment.payment_id"], name="payment_fact_payment"),
        sa.PrimaryKeyConstraint("payment_id", "kind", "reference", "at", "amount_minor", "currency"),
        schema=SCHEMA,
    )


def create_webhook_event() -> None:
    op.create_table(
        "webhook_event",
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("object_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("attempts", sa.Integer, server_default="0", nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.CheckConstraint("state in ('NEW', 'DONE', 'WAITING', 'QUARANTINED')", name="webhook_event_state_known"),
        sa.PrimaryKeyConstraint("event_id"),
        schema=SCHEMA,
    )
    op.create_index("webhook_event_made", "webhook_event", ["created_at"], schema=SCHEMA)
    op.create_index(
        "webhook_event_open", "webhook_event", ["received_at"], schema=SCHEMA, postgresql_where=sa.text("state in ('NEW', 'WAITING')")
    )


def create_refund() -> None:
    op.create_table(
        "refund",
        sa.Column("refund_id", sa.Uuid, nullable=False),
        sa.Column("payment_id", sa.Uuid, nullable=False),
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("card_minor", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("points_minor", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("take_back_part", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("take_back_whole", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("points_taken_back_minor", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("lines", postgresql.JSONB, nullable=False),
        sa.Column("provider_reference", sa.Text, server_default="", nullable=False),
        sa.Column("failure", sa.Text, server_default="", nullable=False),
        sa.Column("card_done", sa.Boolean, server_default="false", nullable=False),
        sa.Column("points_done", sa.Boolean, server_default="false", nullable=False),
        sa.Column("take_back_done", sa.Boolean, server_default="false", nullable=False),
        sa.Column("attempt", sa.Integer, server_default="1", nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("finished_at", TIME),
        sa.CheckConstraint("card_minor >= 0 and points_minor >= 0 and card_minor + points_minor > 0", name="refund_amounts"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.customer_order.order_id"], name="refund_order"),
        sa.ForeignKeyConstraint(["payment_id"], ["orders.payment.payment_id"], name="refund_payment"),
        sa.PrimaryKeyConstraint("refund_id"),
        schema=SCHEMA,
    )
    op.create_index("refund_of_order", "refund", ["order_id", "created_at", "refund_id"], schema=SCHEMA)
    op.create_index("refund_of_payment", "refund", ["payment_id"], schema=SCHEMA)
    op.create_index("refund_open", "refund", ["created_at"], schema=SCHEMA, postgresql_where=sa.text("state = 1"))
    op.create_index(
        "refund_reference", "refund", ["provider_reference"], schema=SCHEMA, postgresql_where=sa.text("provider_reference <> ''")
    )
