"""What `migrate` needs to know of this service."""

from __future__ import annotations

from pathlib import Path

from services.balance.adapters.postgres.proof_tables import metadata
from services.balance.adapters.postgres.tables import SCHEMA
from shared.postgres.migrations import ServiceSchema

# Operations and their chains are never changed and never dropped: the service's role can't do either.
schema = ServiceSchema(
    name=SCHEMA,
    metadata=metadata,
    scripts=Path(__file__).parent,
    privileges={
        "account": ("select", "insert", "update"),
        "lot": ("select", "insert", "update"),
        "hold": ("select", "insert", "update"),
        "operation": ("select", "insert"),
        "program": ("select", "insert"),
        "chain_link": ("select", "insert"),
        "chain_head": ("select", "insert"),
        "audit_run": ("select", "insert", "update"),
        "request_log": ("select", "insert", "update"),
        "schema_version": ("select",),
    },
)
