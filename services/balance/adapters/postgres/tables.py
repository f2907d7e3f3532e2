"""The tables of the ledger. Every key begins with the account: the distribution key, should one database ever be too small."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP

SCHEMA = "balance"
metadata = MetaData(schema=SCHEMA)

_TIME = TIMESTAMP(timezone=True)

account = Table(
    "account",
    metadata,
    Column("account_key", Uuid, primary_key=True),
    Column("program", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    Column("version", BigInteger, nullable=False, server_default=text("0")),
    Column("posted", BigInteger, nullable=False, server_default=text("0")),
    Column("held", BigInteger, nullable=False, server_default=text("0")),
    Column("pending", BigInteger, nullable=False, server_default=text("0")),
    Column("debt", BigInteger, nullable=False, server_default=text("0")),
    Column("lifetime_earned", BigInteger, nullable=False, server_default=text("0")),
    Column("lifetime_spent", BigInteger, nullable=False, server_default=text("0")),
    Column("created_at", _TIME, nullable=False),
    Column("updated_at", _TIME, nullable=False),
    CheckConstraint("posted - held >= 0", name="account_not_overdrawn"),
    CheckConstraint("held >= 0 and pending >= 0 and debt >= 0", name="account_parts_not_negative"),
    # An account is updated at each operation and none of its indexed columns ever changes: room for heap-only updates.
    postgresql_with={"fillfactor": 70},
)

operation = Table(
    "operation",
    metadata,
    Column("account_key", Uuid, primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("kind", SmallInteger, nullable=False),
    Column("debit_book", SmallInteger, nullable=False),
    Column("credit_book", SmallInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("requested_amount", BigInteger, nullable=False),
    Column("posted_after", BigInteger, nullable=False),
    Column("held_after", BigInteger, nullable=False),
    Column("reference", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("request_id", Uuid, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("refusal", SmallInteger),
    Column("available_at_refusal", BigInteger),
    Column("related_version", BigInteger),
    UniqueConstraint("account_key", "actor", "request_id", name="operation_request_unique"),
    CheckConstraint("(refusal is null) = (amount > 0)", name="operation_moves_or_is_refused"),
    CheckConstraint("debit_book <> credit_book", name="operation_between_two_books"),
    # What withdrawals are: kind 2. An order number is paid once by an account; a refused attempt does not use it up.
    Index("operation_payment_unique", "account_key", "reference", unique=True, postgresql_where=text("kind = 2 and refusal is null")),
)
