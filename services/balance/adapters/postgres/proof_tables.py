"""The tables of the proof: hash chains, their signed heads, and what the periodic audits found."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Identity, LargeBinary, SmallInteger, Table, Text, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from services.balance.adapters.postgres.tables import metadata

# With these tables in it.
__all__ = ["metadata"]

_TIME = TIMESTAMP(timezone=True)

chain_link = Table(
    "chain_link",
    metadata,
    Column("chain", SmallInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("account_key", Uuid, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    UniqueConstraint("account_key", "version", name="chain_link_operation_unique"),
)

chain_head = Table(
    "chain_head",
    metadata,
    Column("chain", SmallInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
    # Of the last operation that was linked.
    Column("position", BigInteger, nullable=False),
    Column("made_at", _TIME, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)

audit_run = Table(
    "audit_run",
    metadata,
    Column("run_id", BigInteger, Identity(always=True), primary_key=True),
    Column("begun_at", _TIME, nullable=False),
    Column("seen_at", _TIME, nullable=False),
    Column("ended_at", _TIME),
    Column("accounts", BigInteger),
    # How many findings of which name.
    Column("findings", JSONB),
)
