"""Claims, what the fleet knows of the provider, and the job queue."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from shared.jobs.schema import create_job_tables, drop_job_tables

revision = "0001"
down_revision = None

TIME = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    _create_claim()
    _create_claim_indexes()
    _create_provider()
    create_job_tables(op.get_bind())


def _create_claim() -> None:
    op.create_table(
        "claim",
        sa.Column("number", sa.Text, nullable=False),
        sa.Column("customer", sa.Text, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("accrual", sa.BigInteger),
        sa.Column("credit_operation", sa.Text),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("request_id", sa.Uuid, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.Column("answered_at", TIME),
        sa.Column("due_at", TIME),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("lease_token", sa.Uuid),
        sa.Column("lease_until", TIME),
        sa.PrimaryKeyConstraint("number", name="claim_number_unique"),
        sa.UniqueConstraint("customer", "actor", "request_id", name="claim_request_unique"),
        sa.CheckConstraint("(due_at is null) = (answered_at is not null)", name="claim_asked_or_answered"),
        sa.CheckConstraint("state in (1, 2) or answered_at is not null", name="claim_final_when_answered"),
        sa.CheckConstraint("accrual is null or (accrual > 0 and answered_at is not null)", name="claim_accrual_answered"),
        sa.CheckConstraint("(credit_operation is not null) = (state = 4 and accrual is not null)", name="claim_published_when_credited"),
        sa.CheckConstraint("(lease_token is null) = (lease_until is null)", name="claim_lease_whole"),
        schema="accrual",
    )


def _create_claim_indexes() -> None:
    newest_first = [sa.text("customer"), sa.text("created_at desc"), sa.text("number desc")]
    op.create_index("claim_of_customer", "claim", newest_first, schema="accrual")
    partial = {
        "claim_pending_of_customer": ("customer", "state in (1, 2)"),
        "claim_due": ("due_at", "due_at is not null"),
        "claim_settling": ("answered_at", "state = 2 and answered_at is not null"),
    }
    for name, (column, condition) in partial.items():
        op.create_index(name, "claim", [column], schema="accrual", postgresql_where=sa.text(condition))


def _create_provider() -> None:
    op.create_table(
        "provider",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("breaker", sa.SmallInteger, nullable=False),
        sa.Column("blocked_until", TIME),
        sa.Column("retry_at", TIME),
        sa.Column("probe_id", sa.Uuid),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("consecutive_failures", sa.Integer, nullable=False),
        sa.Column("openings", sa.Integer, nullable=False),
        sa.Column("last_success_at", TIME),
        sa.Column("last_failure", sa.Text, nullable=False),
        schema="accrual",
    )
    op.execute(
        "insert into accrual.provider (name, breaker, generation, consecutive_failures, openings, last_failure)"
        " values ('accrual', 1, 0, 0, 0, '')"
    )


def downgrade() -> None:
    drop_job_tables(op.get_bind())
    op.drop_table("provider", schema="accrual")
    op.drop_table("claim", schema="accrual")
