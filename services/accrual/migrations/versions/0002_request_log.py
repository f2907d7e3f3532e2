"""What every request was answered, those that made no claim included."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"

SCHEMA = "accrual"
# Until now claims alone told which request had made them, and what it had been answered.
REMEMBER_CLAIMS = """
    insert into accrual.request_log (actor, request_id, fingerprint, reply, created_at)
    select actor, request_id, fingerprint, jsonb_build_object(
        'made_claim', true, 'number', number, 'customer', customer, 'state', 1, 'accrual', null, 'credit_operation', null,
        'created_at', created_at, 'updated_at', created_at
    ), created_at
    from accrual.claim
    on conflict do nothing
"""


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
    op.execute(REMEMBER_CLAIMS)


def downgrade() -> None:
    op.drop_table("request_log", schema=SCHEMA)
