"""A server with a database of its own, so that what is listed for everybody is known, and orders can be made up."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from galen.orders.v1.order_service_pb2_grpc import OrderServiceStub
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.adapters.postgres.tables import SCHEMA
from services.orders.container import OrdersContainer, service_parts
from services.orders.migrations.schema import schema
from services.orders.settings import OrdersSettings
from shared.postgres.conninfo import service_conninfo
from shared.postgres.engine import make_engine
from shared.postgres.migrations import migrate
from shared.testing.databases import fresh_database, make_role
from shared.testing.identities import Identities, Metadata
from shared.testing.servers import ServedService, served
from tests.orders.written_orders import Connection

HOUR_S = 3600.0


@pytest.fixture(scope="session")
def reads_settings(postgres_server_uri: str, identities: Identities, orders_token_file: Path) -> Iterator[OrdersSettings]:
    with fresh_database(postgres_server_uri) as uri:
        role = make_role(uri, "orders_app")
        migrate(schema, uri, role=role)
        yield OrdersSettings(
            database_uri=uri,
            database_role=role,
            jwks_file=identities.jwks_file,
            page_token_key_file=identities.page_token_key_file,
            service_token_file=orders_token_file,
            feed_every_s=0.02,
            watch_poll_every_s=0.02,
            watch_heartbeat_s=0.2,
            sweep_every_s=HOUR_S,
        )


@pytest_asyncio.fixture(scope="session")
async def reads_server(reads_settings: OrdersSettings) -> AsyncIterator[ServedService]:
    async with served(service_parts(OrdersContainer(settings=reads_settings))) as server:
        yield server


@pytest.fixture(scope="session")
def reads(reads_server: ServedService) -> OrderServiceStub:
    return OrderServiceStub(reads_server.channel)


@pytest_asyncio.fixture(scope="session")
async def reads_engine(reads_settings: OrdersSettings) -> AsyncIterator[AsyncEngine]:
    """Connections like those of the service."""
    conninfo = service_conninfo(reads_settings.database_uri, schema=SCHEMA, role=reads_settings.database_role)
    engine = make_engine(conninfo, size_max=6)
    yield engine
    await engine.dispose()


@pytest_asyncio.fixture
async def writer(reads_settings: OrdersSettings) -> AsyncIterator[Connection]:
    """A connection that writes: each statement is committed at once, unless a transaction is begun."""
    conninfo = service_conninfo(reads_settings.database_uri, schema=SCHEMA, role=reads_settings.database_role)
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        yield connection


@pytest.fixture
def staff(identities: Identities) -> Metadata:
    return identities.customer("staff-1", roles=("staff",))
