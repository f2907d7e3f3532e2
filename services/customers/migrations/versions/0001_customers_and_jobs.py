"""Customers, their credentials and addresses, failed logins, remembered replies, jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from shared.jobs.schema import create_job_tables, drop_job_tables

revision = "0001"
down_revision = None

SCHEMA = "customers"
TIME = sa.TIMESTAMP(timezone=True)
NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    create_customer()
    create_credential()
    create_address()
    create_login_failure()
    create_request_log()
    create_job_tables(op.get_bind())


def create_customer() -> None:
    op.create_table(
        "customer",
        sa.Column("customer_id", sa.Uuid, primary_key=True),
        sa.Column("login", sa.Text, nullable=False),
        sa.Column("registration_request_id", sa.Uuid, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("display_name", "phone", "email")),
        sa.Column("roles", postgresql.ARRAY(sa.Text), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("account_opened_at", TIME),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.UniqueConstraint("login", name="customer_login_unique"),
        sa.UniqueConstraint("registration_request_id", name="customer_registration_unique"),
        sa.CheckConstraint("roles <@ array['customer', 'staff', 'pharmacist', 'admin']", name="customer_roles_known"),
        sa.CheckConstraint("'customer' = any (roles)", name="customer_is_customer"),
        schema=SCHEMA,
    )
    for name, condition in {"customer_admin": "'admin' = any (roles)", "customer_without_account": "account_opened_at is null"}.items():
        op.create_index(name, "customer", ["customer_id"], schema=SCHEMA, postgresql_where=sa.text(condition))


def create_credential() -> None:
    op.create_table(
        "credential",
        sa.Column("customer_id", sa.Uuid, sa.ForeignKey("customers.customer.customer_id", name="credential_customer"), primary_key=True),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("updated_at", TIME, nullable=False, server_default=NOW),
        schema=SCHEMA,
    )


def create_address() -> None:
    op.create_table(
        "address",
        sa.Column("customer_id", sa.Uuid, sa.ForeignKey("customers.customer.customer_id", name="address_customer"), primary_key=True),
        sa.Column("address_id", sa.Uuid, primary_key=True),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("phone", sa.Text, nullable=False),
        sa.Column("lines", postgresql.ARRAY(sa.Text), nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("city", "postal_code", "country_code")),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        schema=SCHEMA,
    )


def create_login_failure() -> None:
    op.create_table(
        "login_failure",
        sa.Column("address", sa.Text, primary_key=True),
        sa.Column("account", sa.LargeBinary, primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("window_ends_at", TIME, nullable=False),
        schema=SCHEMA,
    )
    op.create_index("login_failure_window", "login_failure", ["window_ends_at"], schema=SCHEMA)


def create_request_log() -> None:
    op.create_table(
        "request_log",
        sa.Column("actor", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Uuid, primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("reply", postgresql.JSONB),
        sa.Column("created_at", TIME, nullable=False, server_default=NOW),
        schema=SCHEMA,
    )


def downgrade() -> None:
    drop_job_tables(op.get_bind())
    for table in ("request_log", "login_failure", "address", "credential", "customer"):
        op.drop_table(table, schema=SCHEMA)
