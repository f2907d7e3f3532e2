"""The schema: migrations go up, down and up again, match the declared tables, and give the service no more than it needs."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg import errors, sql
from sqlalchemy import create_engine

from services.orders.adapters.postgres.tables import SCHEMA, metadata
from services.orders.migrations import versions
from services.orders.migrations.schema import schema
from services.orders.settings import OrdersSettings
from shared.jobs.schema import TABLE_PREFIX
from shared.postgres.conninfo import service_conninfo
from shared.postgres.migrations import VERSION_TABLE, migrate
from shared.testing.databases import fresh_database
from tests.orders.order_machine import OrderBooks, OrderMachine

# Numbers that are each a revision's, first to last.
REVISIONS = sorted(path.name[:4] for path in Path(versions.__path__[0]).glob("0*.py"))

LEFT_BEHIND = """
insert into order_feed (order_id, number, customer_id, location_id)
select order_id, number, customer_id, location_id from order_outbox join customer_order using (order_id);
insert into pickup_guess (order_id, tries, counted_at) select order_id, 1, clock_timestamp() from customer_order;
insert into webhook_event (event_id, kind, object_id, state, body, created_at, received_at)
values ('evt_1', 'charge.refunded', 'ch_1', 'DONE', '{}', clock_timestamp(), clock_timestamp());
insert into procrastinate_workers default values;
insert into procrastinate_periodic_defers (task_name, defer_timestamp) values ('look', 1);
"""


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


def test_whatever_is_there_survives_each_migration_down_to_its_own_and_up_again(
    postgres_server_uri: str, orders_settings: OrdersSettings
) -> None:
    with fresh_database(postgres_server_uri) as uri:
        migrate(schema, uri)
        fill(uri, orders_settings)
        kept = rows(uri)
        assert [table for table, count in kept.items() if not count] == [], "each table has something to lose"
        for revision in reversed(REVISIONS):
            migrate(schema, uri, target=revision)
            found = rows(uri)
            kept = {table: count for table, count in kept.items() if table in found}
            assert found == kept, revision
            migrate(schema, uri)
            found = rows(uri)
            assert {table: found[table] for table in kept} == kept, revision
        migrate(schema, uri, target="base")
        assert tables(uri) == {VERSION_TABLE}
        migrate(schema, uri)
        assert [table for table, count in rows(uri).items() if count] == ["location"], "the main one comes with the schema"


def fill(uri: str, settings: OrdersSettings) -> None:
    """Lets the service make orders, sell, and give money back; adds what only jobs, watchers and the provider leave behind."""
    books = OrderBooks(settings.model_copy(update={"database_uri": uri, "database_role": None}))
    machine = OrderMachine(books)
    machine.begin()
    machine.cancel(place=1, by_staff=True, away=False)
    machine.settle_down()
    books.close()
    with psycopg.connect(service_conninfo(uri, schema=SCHEMA, role=None)) as connection:
        connection.execute(LEFT_BEHIND)


def rows(uri: str) -> dict[str, int]:
    """Counts the rows of all tables but that of the version."""
    with psycopg.connect(uri) as connection:
        counts = {}
        for table in sorted(tables(uri) - {VERSION_TABLE}):
            found = connection.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(SCHEMA, table))).fetchone()
            assert found is not None
            counts[table] = found[0]
        return counts


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
