"""Writes the SQL of every service's migrations, up to the newest, to `FOLDER/<service>/<revision>.sql`: for `make check` and for reviewers.

    python -m deploy.migration_sql FOLDER

Needs no database. The job queue's tables are left out: procrastinate's own SQL makes them.
"""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory

from deploy.local.topology import SERVICES
from shared.postgres.migrations import LOCK_TIMEOUT, STATEMENT_TIMEOUT, ServiceSchema

# What `migrate` sets on its connection.
TIMEOUTS = f"set lock_timeout = {LOCK_TIMEOUT};\nset statement_timeout = {STATEMENT_TIMEOUT};\n\n"


class Nowhere:
    """Stands for the connection that the job queue's tables are made on."""

    def exec_driver_sql(self, statement: str) -> None:
        """Does nothing."""


def main(folder: Path) -> None:
    for service in SERVICES:
        if not service.is_edge:
            schema: ServiceSchema = importlib.import_module(f"services.{service.name}.migrations.schema").schema
            for revision, sql in migrations_of(schema):
                path = folder / schema.name / f"{revision}.sql"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(sql)


def migrations_of(schema: ServiceSchema) -> Iterator[tuple[str, str]]:
    """Yields each revision of the schema with its SQL, the newest first."""
    for script in ScriptDirectory(str(schema.scripts)).walk_revisions():
        yield script.revision, TIMEOUTS + _sql(script)


def _sql(script: Script) -> str:
    written = io.StringIO()
    context = MigrationContext.configure(dialect_name="postgresql", opts={"as_sql": True, "output_buffer": written})
    implementation: Any = context.impl
    implementation.connection = Nowhere()
    with Operations.context(context):
        script.module.upgrade()
    return written.getvalue()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
