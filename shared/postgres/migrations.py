"""Schema changes: Alembic inside each service, its own schema and version table, one migrator at a time, with timeouts.

Expand, deploy, contract: a migration must leave the code of the version before it working.

Only `migrate` commands import this: a service that serves needs no Alembic in its memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg import connect
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import Connection, MetaData, create_engine, text
from sqlalchemy.pool import NullPool

from shared.settings import DatabaseUri, load_settings

VERSION_TABLE = "schema_version"
# A migration waits for locks no longer than users should, and runs no longer than a deployment should. In milliseconds.
LOCK_TIMEOUT = 4_000
STATEMENT_TIMEOUT = 60_000


@dataclass(frozen=True, slots=True)
class ServiceSchema:
    """A service's schema: its tables, where its migrations are, and what its role may do with which table."""

    name: str
    metadata: MetaData
    scripts: Path
    # Privileges of the service's role by table; `*` stands for tables that are not named, such as those of the job queue.
    privileges: Mapping[str, Sequence[str]]


def migrate(schema: ServiceSchema, uri: str, *, role: str | None = None, target: str = "head") -> None:
    """Brings the schema to the revision `target`, up or down, and gives `role`, if there is one, exactly its privileges.

    Waits for another migrator of the same schema. Raises sqlalchemy.exc.DBAPIError, alembic.util.CommandError.
    """
    with _connected(uri) as connection:
        _lock(connection, schema.name)
        connection.execute(text(f'create schema if not exists "{schema.name}"'))
        connection.commit()
        _run_alembic(schema, connection, target)
        if role:
            _grant(schema, connection, role)
        connection.commit()


def _connected(uri: str) -> Connection:

    return create_engine("postgresql+psycopg://", creator=lambda: connect(uri), poolclass=NullPool).connect()


def _lock(connection: Connection, name: str) -> None:
    connection.execute(text("select pg_advisory_lock(hashtextextended(:name, 0))"), {"name": f"galen migrate {name}"})
    connection.execute(text(f"set lock_timeout = {LOCK_TIMEOUT}"))
    connection.execute(text(f"set statement_timeout = {STATEMENT_TIMEOUT}"))
    connection.execute(text(f'set search_path = "{name}"'))
    connection.commit()


def _run_alembic(schema: ServiceSchema, connection: Connection, target: str) -> None:

    config = Config()
    config.set_main_option("script_location", str(schema.scripts))
    config.set_main_option("path_separator", "os")
    config.attributes.update(connection=connection, schema=schema)
    script = ScriptDirectory.from_config(config)
    down = target == "base" or (
        target != "head" and script.get_revision(target) in list(script.iterate_revisions(_current(connection), "base"))[1:]
    )
    (command.downgrade if down else command.upgrade)(config, target)


def _current(connection: Connection) -> str:

    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision() or "base"


def run_environment(context: Any) -> None:
    """What each service's migrations/env.py does: run on the connection that `migrate` opened, a transaction for each step."""
    schema: ServiceSchema = context.config.attributes["schema"]
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=schema.metadata,
        version_table=VERSION_TABLE,
        version_table_schema=schema.name,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _grant(schema: ServiceSchema, connection: Connection, role: str) -> None:
    """Takes everything away, then grants what is listed: the role never keeps a privilege that was dropped from the list."""
    quote = connection.dialect.identifier_preparer.quote
    name, grantee = quote(schema.name), quote(role)
    for statement in (
        f"grant usage on schema {name} to {grantee}",
        f"revoke all on all tables in schema {name} from {grantee}",
        f"grant usage on all sequences in schema {name} to {grantee}",
        f"grant execute on all functions in schema {name} to {grantee}",
    ):
        connection.execute(text(statement))
    tables = connection.execute(text("select tablename from pg_tables where schemaname = :schema"), {"schema": schema.name}).scalars()
    for table in tables.all():
        granted = schema.privileges.get(table, schema.privileges.get("*", ()))
        if granted:
            connection.execute(text(f"grant {', '.join(granted)} on {name}.{quote(table)} to {grantee}"))


class MigrationSettings(BaseSettings):
    """What `migrate` reads from the environment."""

    model_config = SettingsConfigDict(extra="ignore", hide_input_in_errors=True)

    database_uri: DatabaseUri = Field(
        description="postgres://user:password@host:port/database, of a login that may create schemas", repr=False
    )
    database_role: str | None = Field(default=None, description="the role that the service takes on; gets its privileges")
    migrate_target: str = Field(default="head", description="the revision to reach; `base` removes everything")


def migrate_from_environment(schema: ServiceSchema) -> None:
    settings = load_settings(MigrationSettings)
    migrate(schema, settings.database_uri, role=settings.database_role, target=settings.migrate_target)
