"""More servers of the service, with other settings or a database of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from services.customers.adapters.postgres.tables import SCHEMA
from services.customers.container import CustomersContainer, service_parts
from services.customers.migrations.schema import schema
from services.customers.settings import CustomersSettings
from shared.postgres.conninfo import service_conninfo
from shared.postgres.migrations import migrate
from shared.testing.databases import fresh_database
from shared.testing.servers import ServedService, served


@asynccontextmanager
async def customers_served(settings: CustomersSettings, **changes: object) -> AsyncIterator[ServedService]:
    """Serves with some settings changed, until the block ends."""
    async with served(service_parts(CustomersContainer(settings=settings.model_copy(update=changes)))) as server:
        yield server


@contextmanager
def own_database(settings: CustomersSettings, server_uri: str) -> Iterator[CustomersSettings]:
    """Yields the settings with a migrated database that nobody else uses."""
    with fresh_database(server_uri) as uri:
        migrate(schema, uri)
        yield settings.model_copy(update={"database_uri": uri, "database_role": None})


def query(settings: CustomersSettings, statement: str, *parameters: Any) -> list[TupleRow]:
    """Runs a statement in the service's schema, as the one who may do everything."""
    with psycopg.connect(service_conninfo(settings.database_uri, schema=SCHEMA, role=None), autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []
