"""The job queue's tables, as steps of a service's migrations. Run with the service's schema as search path, which `migrate` sees to."""

from __future__ import annotations

from sqlalchemy import Connection, text

TABLE_PREFIX = "procrastinate_"


def create_job_tables(connection: Connection) -> None:
    """Makes the tables, types and functions of the installed procrastinate.

    When a later version of it changes them, a new migration runs the step that procrastinate ships for that.
    """
    # Each start loads the migrations, the first one only runs this.
    from procrastinate.schema import SchemaManager  # noqa: PLC0415

    connection.exec_driver_sql(str(SchemaManager.get_schema()).replace("%", "%%"))


def drop_job_tables(connection: Connection) -> None:
    """Removes them again."""
    for kind, query in _OBJECTS.items():
        names = connection.execute(text(query)).scalars().all()
        for name in names:
            connection.execute(text(f"drop {kind} if exists {name} cascade"))


# Tables first: their columns use the types, and functions use both.
_OBJECTS = {
    "table": "select quote_ident(tablename) from pg_tables where schemaname = current_schema() and tablename like 'procrastinate\\_%'",
    "routine": """select p.oid::regprocedure::text from pg_proc p
                  where p.pronamespace = current_schema()::regnamespace and p.proname like 'procrastinate\\_%'""",
    "type": """select quote_ident(t.typname) from pg_type t
               where t.typnamespace = current_schema()::regnamespace and t.typname like 'procrastinate\\_%' and t.typtype in ('e', 'c')""",
}
