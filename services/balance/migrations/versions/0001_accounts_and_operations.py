"""Accounts and their operations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TIME = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("account_key", sa.Uuid, primary_key=True),
        sa.Column("program", sa.Text, nullable=False),
        sa.Column("account_id", sa.Text, nullable=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False, server_default=sa.text("0"))
            for name in ("version", "posted", "held", "pending", "debt", "lifetime_earned", "lifetime_spent")
        ),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.CheckConstraint("posted - held >= 0", name="account_not_overdrawn"),
        sa.CheckConstraint("held >= 0 and pending >= 0 and debt >= 0", name="account_parts_not_negative"),
        schema="balance",
        postgresql_with={"fillfactor": 70},
    )
    op.create_table(
        "operation",
        sa.Column("account_key", sa.Uuid, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        *(sa.Column(name, sa.SmallInteger, nullable=False) for name in ("kind", "debit_book", "credit_book")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("amount", "requested_amount", "posted_after", "held_after")),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("refusal", sa.SmallInteger),
        sa.Column("available_at_refusal", sa.BigInteger),
        sa.Column("related_version", sa.BigInteger),
        sa.UniqueConstraint("account_key", "actor", "request_id", name="operation_request_unique"),
        sa.CheckConstraint("(refusal is null) = (amount > 0)", name="operation_moves_or_is_refused"),
        sa.CheckConstraint("debit_book <> credit_book", name="operation_between_two_books"),
        schema="balance",
    )
    op.create_index(
        "operation_payment_unique",
        "operation",
        ["account_key", "reference"],
        schema="balance",
        unique=True,
        postgresql_where=sa.text("kind = 2 and refusal is null"),
    )


def downgrade() -> None:
    op.drop_table("operation", schema="balance")
    op.drop_table("account", schema="balance")
