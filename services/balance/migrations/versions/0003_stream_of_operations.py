"""Operations have a place in the stream of all of them; lots that are due have an order."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

SCHEMA = "balance"
IS_DUE = sa.text("is_open and expires_at is not null")


def upgrade() -> None:
    _place_operations()
    op.drop_index("lot_due", "lot", schema=SCHEMA)
    op.create_index("lot_due", "lot", ["expires_at", "account_key", "lot_id"], schema=SCHEMA, postgresql_where=IS_DUE)


def _place_operations() -> None:
    """Gives what is there a place by time; an account's operations, which may share one, by their version."""
    op.add_column("operation", sa.Column("stream_position", sa.BigInteger), schema=SCHEMA)
    op.execute("""
        update balance.operation set stream_position = place
        from (
            select account_key, version, row_number() over (order by created_at, account_key, version) as place from balance.operation
        ) as placed
        where operation.account_key = placed.account_key and operation.version = placed.version
    """)
    op.alter_column("operation", "stream_position", nullable=False, schema=SCHEMA)
    op.execute("alter table balance.operation alter stream_position add generated always as identity")
    op.execute("""
        select setval(pg_get_serial_sequence('balance.operation', 'stream_position'), max(stream_position)) from balance.operation
        having max(stream_position) is not null
    """)
    op.create_index("operation_stream", "operation", ["stream_position"], schema=SCHEMA)


def downgrade() -> None:
    op.drop_index("lot_due", "lot", schema=SCHEMA)
    op.create_index("lot_due", "lot", ["expires_at"], schema=SCHEMA, postgresql_where=IS_DUE)
    op.drop_column("operation", "stream_position", schema=SCHEMA)
