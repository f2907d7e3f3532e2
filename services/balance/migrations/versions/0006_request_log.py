"""What was answered to writes that record no operation."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006"
down_revision = "0005"

SCHEMA = "balance"


def upgrade() -> None:
    op.create_table(
        "request_log",
        sa.Column("actor", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Uuid, primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("reply", JSONB),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False, server_default=sa.text("clock_timestamp()")),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_table("request_log", schema=SCHEMA)
