"""What `migrate` needs to know of this service."""

from __future__ import annotations

from pathlib import Path

from services.customers.adapters.postgres.tables import SCHEMA, metadata
from shared.postgres.migrations import ServiceSchema

# Customers are never removed, and what a request was answered is never forgotten: the service's role can't do either.
schema = ServiceSchema(
    name=SCHEMA,
    metadata=metadata,
    scripts=Path(__file__).parent,
    privileges={
        "customer": ("select", "insert", "update"),
        "credential": ("select", "insert", "update"),
        "address": ("select", "insert", "update", "delete"),
        "login_failure": ("select", "insert", "update", "delete"),
        "request_log": ("select", "insert", "update"),
        "schema_version": ("select",),
        "*": ("select", "insert", "update", "delete"),  # the job queue
    },
)
