"""Lots and holds; operations tell which lots they used, accounts know debt and a least balance."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

SCHEMA = "balance"
TIME = sa.TIMESTAMP(timezone=True)
BIGINTS = sa.ARRAY(sa.BigInteger)
ROOMY = {"fillfactor": 70}


def upgrade() -> None:
    _widen_accounts()
    _widen_operations()
    _create_lots()
    _create_holds()
    # What accounts hold so far becomes one lot each, named after their last credit; it does not expire.
    op.execute("""
        insert into balance.lot (account_key, lot_id, amount, remaining, held, available_at, expires_at, is_open)
        select account_key, max(operation.version), posted, posted, 0, max(operation.created_at), null, true
        from balance.account join balance.operation using (account_key)
        where posted > 0 and kind = 1 and refusal is null
        group by account_key, posted
    """)


def _widen_accounts() -> None:
    op.drop_constraint("account_not_overdrawn", "account", schema=SCHEMA)
    op.drop_constraint("account_parts_not_negative", "account", schema=SCHEMA)
    op.drop_column("account", "pending", schema=SCHEMA)
    op.add_column("account", sa.Column("min_balance", sa.BigInteger, nullable=False, server_default=sa.text("0")), schema=SCHEMA)
    op.create_check_constraint("account_not_overdrawn", "account", "posted + debt - held >= 0", schema=SCHEMA)
    op.create_check_constraint("account_parts_not_negative", "account", "held >= 0 and debt >= 0", schema=SCHEMA)


def _widen_operations() -> None:
    for name in ("lot_ids", "lot_amounts"):
        op.add_column("operation", sa.Column(name, BIGINTS, nullable=False, server_default=sa.text("'{}'")), schema=SCHEMA)
    op.add_column("operation", sa.Column("debt_change", sa.BigInteger, nullable=False, server_default=sa.text("0")), schema=SCHEMA)
    op.drop_constraint("operation_moves_or_is_refused", "operation", schema=SCHEMA)
    moves = "case when refusal is null and kind <> 6 then amount > 0 else amount = 0 end"
    op.create_check_constraint("operation_moves_or_is_refused", "operation", moves, schema=SCHEMA)
    reversals = sa.text("kind = 9 and refusal is null")
    op.create_index("operation_reversals", "operation", ["account_key", "related_version"], schema=SCHEMA, postgresql_where=reversals)


def _create_lots() -> None:
    op.create_table(
        "lot",
        sa.Column("account_key", sa.Uuid, primary_key=True),
        sa.Column("lot_id", sa.BigInteger, primary_key=True),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("amount", "remaining", "held")),
        sa.Column("available_at", TIME, nullable=False),
        sa.Column("expires_at", TIME),
        sa.Column("is_open", sa.Boolean, nullable=False),
        sa.CheckConstraint("held >= 0 and remaining >= held", name="lot_not_overdrawn"),
        sa.CheckConstraint("is_open = (remaining > 0)", name="lot_open_while_something_remains"),
        schema=SCHEMA,
        postgresql_with=ROOMY,
    )
    order = ["account_key", "expires_at", "lot_id"]
    op.create_index("lot_spending_order", "lot", order, schema=SCHEMA, postgresql_where=sa.text("is_open"))
    op.create_index("lot_due", "lot", ["expires_at"], schema=SCHEMA, postgresql_where=sa.text("is_open and expires_at is not null"))


def _create_holds() -> None:
    op.create_table(
        "hold",
        sa.Column("account_key", sa.Uuid, primary_key=True),
        sa.Column("hold_id", sa.BigInteger, primary_key=True),
        sa.Column("state", sa.SmallInteger, nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("amount", "remaining", "captured")),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("expires_at", TIME),
        *(sa.Column(name, BIGINTS, nullable=False, server_default=sa.text("'{}'")) for name in ("lot_ids", "lot_amounts")),
        sa.CheckConstraint("remaining >= 0 and captured >= 0 and remaining + captured <= amount", name="hold_parts_within_amount"),
        sa.CheckConstraint("(state = 1) = (remaining > 0)", name="hold_open_while_something_is_held"),
        schema=SCHEMA,
        postgresql_with=ROOMY,
    )
    op.create_index("hold_open", "hold", ["account_key", "expires_at"], schema=SCHEMA, postgresql_where=sa.text("state = 1"))
    due = sa.text("state = 1 and expires_at is not null")
    op.create_index("hold_due", "hold", ["expires_at"], schema=SCHEMA, postgresql_where=due)


def downgrade() -> None:
    # Points that are held or owed have no place in the schema before: settle holds and debts first, or this refuses.
    op.drop_table("hold", schema=SCHEMA)
    op.drop_table("lot", schema=SCHEMA)
    op.drop_index("operation_reversals", "operation", schema=SCHEMA)
    op.drop_constraint("operation_moves_or_is_refused", "operation", schema=SCHEMA)
    op.create_check_constraint("operation_moves_or_is_refused", "operation", "(refusal is null) = (amount > 0)", schema=SCHEMA)
    for name in ("lot_ids", "lot_amounts", "debt_change"):
        op.drop_column("operation", name, schema=SCHEMA)
    op.drop_constraint("account_not_overdrawn", "account", schema=SCHEMA)
    op.drop_constraint("account_parts_not_negative", "account", schema=SCHEMA)
    op.drop_column("account", "min_balance", schema=SCHEMA)
    op.add_column("account", sa.Column("pending", sa.BigInteger, nullable=False, server_default=sa.text("0")), schema=SCHEMA)
    op.create_check_constraint("account_not_overdrawn", "account", "posted - held >= 0", schema=SCHEMA)
    op.create_check_constraint("account_parts_not_negative", "account", "held >= 0 and pending >= 0 and debt >= 0", schema=SCHEMA)
