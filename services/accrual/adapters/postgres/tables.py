"""The tables of the service. Definitions, names of constraints and what they mean stand here and in the migrations only."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP

from shared.postgres.request_log import request_log_table

SCHEMA = "accrual"
metadata = MetaData(schema=SCHEMA)

_TIME = TIMESTAMP(timezone=True)

# An order number belongs to one customer for ever.
NUMBER_UNIQUE = "claim_number_unique"
# A request makes at most one claim; what it was answered stands in `request_log`.
REQUEST_UNIQUE = "claim_request_unique"

# `due_at` is when to ask the provider (again); it is null exactly when there is a final answer, which makes `answered_at` set.
claim = Table(
    "claim",
    metadata,
    Column("number", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("accrual", BigInteger),
    Column("credit_operation", Text),
    Column("actor", Text, nullable=False),
    Column("request_id", Uuid, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("updated_at", _TIME, nullable=False),
    Column("answered_at", _TIME),
    Column("due_at", _TIME),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("lease_token", Uuid),
    Column("lease_until", _TIME),
    PrimaryKeyConstraint("number", name=NUMBER_UNIQUE),
    UniqueConstraint("customer", "actor", "request_id", name=REQUEST_UNIQUE),
    CheckConstraint("(due_at is null) = (answered_at is not null)", name="claim_asked_or_answered"),
    CheckConstraint("state in (1, 2) or answered_at is not null", name="claim_final_when_answered"),
    CheckConstraint("accrual is null or (accrual > 0 and answered_at is not null)", name="claim_accrual_answered"),
    CheckConstraint("(credit_operation is not null) = (state = 4 and accrual is not null)", name="claim_published_when_credited"),
    CheckConstraint("(lease_token is null) = (lease_until is null)", name="claim_lease_whole"),
    Index("claim_of_customer", "customer", text("created_at desc"), text("number desc")),
    Index("claim_pending_of_customer", "customer", postgresql_where=text("state in (1, 2)")),
    Index("claim_due", "due_at", postgresql_where=text("due_at is not null")),
    Index("claim_settling", "answered_at", postgresql_where=text("state = 2 and answered_at is not null")),
)

# One row, made by the migration: what the fleet knows of the outside accrual system.
provider = Table(
    "provider",
    metadata,
    Column("name", Text, primary_key=True),
    Column("breaker", SmallInteger, nullable=False),
    Column("blocked_until", _TIME),
    Column("retry_at", _TIME),
    Column("probe_id", Uuid),
    Column("generation", BigInteger, nullable=False),
    Column("consecutive_failures", Integer, nullable=False),
    Column("openings", Integer, nullable=False),
    Column("last_success_at", _TIME),
    Column("last_failure", Text, nullable=False),
)
PROVIDER_NAME = "accrual"

request_log = request_log_table(metadata)
