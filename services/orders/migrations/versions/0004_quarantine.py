"""What people have accepted of payments in quarantine."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

SCHEMA = "orders"


def upgrade() -> None:
    op.add_column("payment", sa.Column("accepted_minor", sa.BigInteger, server_default="0", nullable=False), schema=SCHEMA)


def downgrade() -> None:
    # The code of before knows neither this wish (to give all back) nor this fact.
    op.execute("update orders.payment set wish = 3 where wish = 4")
    op.execute("delete from orders.payment_fact where kind = 'REFUND_FAILED'")
    op.drop_column("payment", "accepted_minor", schema=SCHEMA)
