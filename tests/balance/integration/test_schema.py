"""The schema: migrations go up, down and up again, match the declared tables, and give the service no more than it needs."""

from __future__ import annotations

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import errors
from sqlalchemy import create_engine

from services.balance.adapters.postgres.tables import SCHEMA, metadata
from services.balance.migrations.schema import schema
from shared.postgres.conninfo import service_conninfo
from shared.postgres.migrations import VERSION_TABLE, migrate
from shared.testing.databases import fresh_database


def tables(uri: str) -> set[str]:
    with psycopg.connect(uri) as connection:
        return {name for (name,) in connection.execute("select tablename from pg_tables where schemaname = %s", [SCHEMA])}


def test_migrations_go_up_down_and_up_again_and_match_the_declared_tables(postgres_server_uri: str) -> None:
    with fresh_database(postgres_server_uri) as uri:
        migrate(schema, uri)
        migrate(schema, uri, target="base")
        assert tables(uri) == {VERSION_TABLE}
        migrate(schema, uri)

        engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(uri))
        with engine.connect() as connection:
            options = {"include_schemas": True, "version_table": VERSION_TABLE, "version_table_schema": SCHEMA}
            context = MigrationContext.configure(connection, opts=options)
            assert compare_metadata(context, metadata) == []
        engine.dispose()


@pytest.mark.parametrize(
    "statement",
    [
        "update operation set amount = 1",
        "delete from operation",
        "truncate operation",
        "delete from account",
        "delete from request_log",
        "create table more (id int)",
        "drop table operation",
    ],
)
def test_the_service_can_not_change_or_drop_what_was_recorded(database_uri: str, balance_role: str, statement: str) -> None:
    with (
        psycopg.connect(service_conninfo(database_uri, schema=SCHEMA, role=balance_role)) as connection,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        connection.execute(statement)
