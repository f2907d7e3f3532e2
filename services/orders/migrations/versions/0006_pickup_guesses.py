"""How often somebody tried to name an order's pickup code."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

SCHEMA = "orders"


def upgrade() -> None:
    op.create_table(
        "pickup_guess",
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("tries", sa.Double, nullable=False),
        sa.Column("counted_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.customer_order.order_id"], name="pickup_guess_order"),
        sa.PrimaryKeyConstraint("order_id"),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_table("pickup_guess", schema=SCHEMA)
