"""Programmes; a change of the least balance moves nothing."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

SCHEMA = "balance"
MOVES = "case when refusal is null and kind not in ({}) then amount > 0 else amount = 0 end"


def upgrade() -> None:
    op.create_table(
        "program",
        sa.Column("program_id", sa.Text, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), nullable=False),
        schema=SCHEMA,
    )
    op.execute("insert into balance.program values ('main', 'Main', clock_timestamp())")
    _replace_check(MOVES.format("6, 11"))


def downgrade() -> None:
    # Refuses if a least balance was ever set: operations are never dropped.
    _replace_check(MOVES.format("6"))
    op.drop_table("program", schema=SCHEMA)


def _replace_check(condition: str) -> None:
    op.drop_constraint("operation_moves_or_is_refused", "operation", schema=SCHEMA)
    op.create_check_constraint("operation_moves_or_is_refused", "operation", condition, schema=SCHEMA)
