"""The schema: migrations go up, down and up again, match the declared tables, and give the service no more than it needs."""

from __future__ import annotations

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import errors
from sqlalchemy import create_engine

from services.orders.adapters.postgres.tables import SCHEMA, metadata
from services.orders.migrations.schema import schema
from shared.jobs.schema import TABLE_PREFIX
from shared.postgres.conninfo import service_conninfo
from shared.postgres.migrations import VERSION_TABLE, migrate
from shared.testing.databases import fresh_database
from tests.orders.many_orders import write_many_orders


def tables(uri: str) -> set[str]:
    with psycopg.connect(uri) as connection:
        return {name for (name,) in connection.execute("select tablename from pg_tables where schemaname = %s", [SCHEMA])}


def leftovers(uri: str) -> list[str]:
    """Returns the types and functions in the schema that belong to no table."""
    types = """select typname from pg_type left join pg_class on pg_class.oid = typrelid
               where typnamespace = %(schema)s::regnamespace and typelem = 0 and relkind is distinct from 'r'"""
    functions = "select proname from pg_proc where pronamespace = %(schema)s::regnamespace"
    with psycopg.connect(uri) as connection:
        return [name for (name,) in connection.execute(f"{types} union {functions}".encode(), {"schema": SCHEMA})]


def test_migrations_go_up_down_and_up_again_and_match_the_declared_tables(postgres_server_uri: str) -> None:
    with fresh_database(postgres_server_uri) as uri:
        migrate(schema, uri)
        migrate(schema, uri, target="base")
        assert tables(uri) == {VERSION_TABLE}
        assert leftovers(uri) == []
        migrate(schema, uri)

        engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(uri))
        with engine.connect() as connection:
            options = {"include_schemas": True, "version_table": VERSION_TABLE, "version_table_schema": SCHEMA}
            context = MigrationContext.configure(connection, opts=options)
            assert [step for step in compare_metadata(context, metadata) if TABLE_PREFIX not in repr(step)] == []
        engine.dispose()


def test_orders_that_are_there_survive_each_migration_down_to_their_own_and_up_again(postgres_server_uri: str) -> None:
    with fresh_database(postgres_server_uri) as uri:
        migrate(schema, uri)
        write_many_orders(uri, 100)
        before = rows(uri)
        for target in ("0002", "head", "0001", "head"):
            migrate(schema, uri, target=target)
            assert rows(uri) == before
        migrate(schema, uri, target="base")
        assert tables(uri) == {VERSION_TABLE}
        migrate(schema, uri)
        assert rows(uri) == [0, 0, 0]


def rows(uri: str) -> list[int]:
    """Counts orders, lines and events."""
    with psycopg.connect(service_conninfo(uri, schema=SCHEMA, role=None)) as connection:
        found = connection.execute(
            "select (select count(*) from customer_order), (select count(*) from order_item), (select count(*) from order_event)"
        ).fetchone()
    assert found is not None
    return list(found)


@pytest.mark.parametrize(
    "statement",
    [
        "delete from customer_order",
        "update order_event set reason = ''",
        "delete from order_event",
        "update stock_movement set lot_delta = 0",
        "delete from stock_movement",
        "truncate customer_order cascade",
        "delete from request_log",
        "truncate request_log",
        "update schema_version set version_num = '0'",
        "create table more (id int)",
        "drop table customer_order cascade",
    ],
)
def test_the_service_can_not_change_history_or_remove_orders_and_answers(database_uri: str, orders_role: str, statement: str) -> None:
    with (
        psycopg.connect(service_conninfo(database_uri, schema=SCHEMA, role=orders_role)) as connection,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        connection.execute(statement)
