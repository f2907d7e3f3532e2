"""The tables of the customers service."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP

from shared.postgres.request_log import request_log_table

SCHEMA = "customers"
OPEN_ACCOUNT = "open_account"
metadata = MetaData(schema=SCHEMA)

_TIME = TIMESTAMP(timezone=True)

customer = Table(
    "customer",
    metadata,
    Column("customer_id", Uuid, primary_key=True),
    Column("login", Text, nullable=False),
    Column("registration_request_id", Uuid, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("phone", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("roles", ARRAY(Text), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("account_opened_at", _TIME),
    Column("created_at", _TIME, nullable=False),
    Column("updated_at", _TIME, nullable=False),
    UniqueConstraint("login", name="customer_login_unique"),
    UniqueConstraint("registration_request_id", name="customer_registration_unique"),
    CheckConstraint("roles <@ array['customer', 'staff', 'pharmacist', 'admin']", name="customer_roles_known"),
    CheckConstraint("'customer' = any (roles)", name="customer_is_customer"),
)
Index("customer_admin", customer.c.customer_id, postgresql_where=text("'admin' = any (roles)"))
Index("customer_without_account", customer.c.customer_id, postgresql_where=text("account_opened_at is null"))

# Apart from the customer, so that nothing that reads profiles can ever read a hash.
credential = Table(
    "credential",
    metadata,
    Column("customer_id", Uuid, ForeignKey(customer.c.customer_id, name="credential_customer"), primary_key=True),
    Column("password_hash", Text, nullable=False),
    Column("updated_at", _TIME, nullable=False, server_default=text("clock_timestamp()")),
)

address = Table(
    "address",
    metadata,
    Column("customer_id", Uuid, ForeignKey(customer.c.customer_id, name="address_customer"), primary_key=True),
    Column("address_id", Uuid, primary_key=True),
    Column("recipient", Text, nullable=False),
    Column("phone", Text, nullable=False),
    Column("lines", ARRAY(Text), nullable=False),
    Column("city", Text, nullable=False),
    Column("postal_code", Text, nullable=False),
    Column("country_code", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("updated_at", _TIME, nullable=False),
)

# An empty account stands for all that was tried from the address. Lost in a crash of the server it would only be counted anew.
login_failure = Table(
    "login_failure",
    metadata,
    Column("address", Text, primary_key=True),
    Column("account", LargeBinary, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("window_ends_at", _TIME, nullable=False),
)
Index("login_failure_window", login_failure.c.window_ends_at)

request_log = request_log_table(metadata)
