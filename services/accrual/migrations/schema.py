"""What `migrate` needs to know of this service."""

from __future__ import annotations

from pathlib import Path

from services.accrual.adapters.postgres.tables import SCHEMA, metadata
from shared.postgres.migrations import ServiceSchema

# Claims are never dropped, what a request was answered is never forgotten, and the provider's row is made by the migration: the service's
# role can do none of it. `*` is the job queue.
schema = ServiceSchema(
    name=SCHEMA,
    metadata=metadata,
    scripts=Path(__file__).parent,
    privileges={
        "claim": ("select", "insert", "update"),
        "provider": ("select", "update"),
        "request_log": ("select", "insert", "update"),
        "schema_version": ("select",),
        "*": ("select", "insert", "update", "delete"),
    },
)
