"""The orders service on a real server and a real PostgreSQL. Fixtures of a feature are in the conftest of its folder."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.orders.container import OrdersContainer, service_parts
from services.orders.migrations.schema import schema
from services.orders.settings import OrdersSettings
from shared.postgres.migrations import migrate
from shared.testing.databases import make_role
from shared.testing.identities import Identities
from shared.testing.servers import ServedService, served


@pytest.fixture(scope="session")
def orders_role(database_uri: str) -> str:
    """The role of the service, with the privileges that `migrate` gives; the schema is made with it."""
    role = make_role(database_uri, "orders_app")
    migrate(schema, database_uri, role=role)
    return role


@pytest.fixture(scope="session")
def orders_token_file(identities: Identities, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "orders.jwt"
    path.write_text(identities.service_token("orders"))
    return path


@pytest.fixture(scope="session")
def orders_settings(database_uri: str, orders_role: str, identities: Identities, orders_token_file: Path) -> OrdersSettings:
    return OrdersSettings(
        database_uri=database_uri,
        database_role=orders_role,
        jwks_file=identities.jwks_file,
        page_token_key_file=identities.page_token_key_file,
        service_token_file=orders_token_file,
    )


@pytest_asyncio.fixture(scope="session")
async def orders_server(orders_settings: OrdersSettings) -> AsyncIterator[ServedService]:
    # Without background work: the database is shared, and this server would run the jobs that other tests count.
    settings = orders_settings.model_copy(update={"background_work": False})
    async with served(service_parts(OrdersContainer(settings=settings))) as server:
        yield server
