"""The tables of the ledger. Every key begins with the account: the distribution key, should one database ever be too small."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Identity,
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

from shared.postgres.request_log import request_log_table

SCHEMA = "balance"
metadata = MetaData(schema=SCHEMA)

_TIME = TIMESTAMP(timezone=True)
# Rows that are updated often and whose indexed columns rarely change: room for heap-only updates.
_ROOMY = {"fillfactor": 70}


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def _array(name: str) -> Column[list[int]]:
    return Column(name, ARRAY(BigInteger), nullable=False, server_default=text("'{}'"))


account = Table(
    "account",
    metadata,
    Column("account_key", Uuid, primary_key=True),
    Column("program", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    _count("version"),
    _count("posted"),
    _count("held"),
    _count("debt"),
    _count("lifetime_earned"),
    _count("lifetime_spent"),
    _count("min_balance"),
    Column("created_at", _TIME, nullable=False),
    Column("updated_at", _TIME, nullable=False),
    CheckConstraint("posted + debt - held >= 0", name="account_not_overdrawn"),
    CheckConstraint("held >= 0 and debt >= 0", name="account_parts_not_negative"),
    postgresql_with=_ROOMY,
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
    _array("lot_ids"),
    _array("lot_amounts"),
    _count("debt_change"),
    # The place among all operations. It is given while the account is locked, so along a history it grows with the version, which ids of
    # transactions don't; stream.py tells how far it can be read.
    Column("stream_position", BigInteger, Identity(always=True), nullable=False),
    UniqueConstraint("account_key", "actor", "request_id", name="operation_request_unique"),
    # Kind 6 is an extension, 11 a change of the least balance: they move nothing.
    CheckConstraint(
        "case when refusal is null and kind not in (6, 11) then amount > 0 else amount = 0 end", name="operation_moves_or_is_refused"
    ),
    CheckConstraint("debit_book <> credit_book", name="operation_between_two_books"),
    # Kind 2 is a withdrawal. An order number is paid once by an account; a refused attempt does not use it up.
    Index("operation_payment_unique", "account_key", "reference", unique=True, postgresql_where=text("kind = 2 and refusal is null")),
    # Kind 9 is a reversal: what was asked back of an operation is summed before more is.
    Index("operation_reversals", "account_key", "related_version", postgresql_where=text("kind = 9 and refusal is null")),
    # Not unique, though positions are: a unique index would have to begin with the account once tables are distributed.
    Index("operation_stream", "stream_position"),
)

lot = Table(
    "lot",
    metadata,
    Column("account_key", Uuid, primary_key=True),
    Column("lot_id", BigInteger, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("remaining", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("available_at", _TIME, nullable=False),
    Column("expires_at", _TIME),
    # Whether anything remains, in a column of its own: an index on `remaining` itself would make every update rewrite it.
    Column("is_open", Boolean, nullable=False),
    CheckConstraint("held >= 0 and remaining >= held", name="lot_not_overdrawn"),
    CheckConstraint("is_open = (remaining > 0)", name="lot_open_while_something_remains"),
    Index("lot_spending_order", "account_key", "expires_at", "lot_id", postgresql_where=text("is_open")),
    # With a key that tells lots of the same moment apart: programmes like to let everything expire at the end of a year.
    Index("lot_due", "expires_at", "account_key", "lot_id", postgresql_where=text("is_open and expires_at is not null")),
    postgresql_with=_ROOMY,
)

hold = Table(
    "hold",
    metadata,
    Column("account_key", Uuid, primary_key=True),
    Column("hold_id", BigInteger, primary_key=True),
    Column("state", SmallInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("remaining", BigInteger, nullable=False),
    Column("captured", BigInteger, nullable=False),
    Column("reference", Text, nullable=False),
    Column("expires_at", _TIME),
    _array("lot_ids"),
    _array("lot_amounts"),
    CheckConstraint("remaining >= 0 and captured >= 0 and remaining + captured <= amount", name="hold_parts_within_amount"),
    CheckConstraint("(state = 1) = (remaining > 0)", name="hold_open_while_something_is_held"),
    Index("hold_open", "account_key", "expires_at", postgresql_where=text("state = 1")),
    Index("hold_due", "expires_at", postgresql_where=text("state = 1 and expires_at is not null")),
    postgresql_with=_ROOMY,
)

program = Table(
    "program",
    metadata,
    Column("program_id", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("created_at", _TIME, nullable=False),
)

# What was answered to writes that record no operation.
request_log = request_log_table(metadata)
