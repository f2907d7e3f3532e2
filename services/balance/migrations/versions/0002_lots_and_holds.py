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
    _give_lots_to_what_is_there()


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


def _give_lots_to_what_is_there() -> None:
    """Makes each credit so far a lot that does not expire; withdrawals so far took of them what came first.

    Along an account's credits, and along its withdrawals, points are numbered: a withdrawal took of a credit the points that have their
    numbers in common. They were there by then, for no balance was ever below zero.
    """
    op.execute("""
        create temporary table numbered on commit drop as
        select account_key, version, kind, amount, created_at,
            cast(sum(amount) over history as bigint) - amount as before, cast(sum(amount) over history as bigint) as after
        from balance.operation where kind in (1, 2) and refusal is null
        window history as (partition by account_key, kind order by version)
    """)
    op.execute("""
        create temporary table taken on commit drop as
        select account_key, withdrawal.version, credit.version as lot_id,
            least(credit.after, withdrawal.after) - greatest(credit.before, withdrawal.before) as amount
        from numbered as credit join numbered as withdrawal using (account_key)
        where credit.kind = 1 and withdrawal.kind = 2 and credit.before < withdrawal.after and withdrawal.before < credit.after
    """)
    op.execute("""
        insert into balance.lot (account_key, lot_id, amount, remaining, held, available_at, expires_at, is_open)
        select account_key, version, amount, amount - spent, 0, created_at, null, amount > spent
        from (
            select credit.*, coalesce(sum(taken.amount), 0) as spent
            from numbered as credit left join taken on taken.account_key = credit.account_key and taken.lot_id = credit.version
            where kind = 1 group by credit.account_key, credit.version, kind, credit.amount, created_at, before, after
        ) as credit
    """)
    op.execute("""
        update balance.operation set lot_ids = used.lot_ids, lot_amounts = used.lot_amounts
        from (
            select account_key, version, array_agg(lot_id order by lot_id) as lot_ids, array_agg(amount order by lot_id) as lot_amounts
            from (
                select account_key, version, lot_id, amount from taken
                union all select account_key, version, version, amount from numbered where kind = 1
            ) as use group by account_key, version
        ) as used
        where operation.account_key = used.account_key and operation.version = used.version
    """)


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
