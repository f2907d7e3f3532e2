from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.adapters.postgres.tables import SCHEMA
from services.orders.container import OrdersContainer, service_parts
from services.orders.settings import OrdersSettings
from shared.postgres.conninfo import service_conninfo
from shared.postgres.engine import disposing, make_engine
from shared.testing.identities import Identities
from shared.testing.servers import ServedService, served
from tests.orders.counter import Counter, Crew, open_counter
from tests.orders.customers_peer import People, people_served


@dataclass(frozen=True)
class Ordering:
    """A server of the service, without work in the background, and what it is made of."""

    server: ServedService
    container: OrdersContainer


@pytest_asyncio.fixture(scope="session")
async def people_server() -> AsyncIterator[People]:
    async with people_served() as people:
        yield people


@pytest.fixture
def people(people_server: People) -> People:
    """As they are by default, in each test."""
    people_server.__dict__.update(vars(People(port=people_server.port)))
    return people_server


@pytest_asyncio.fixture(scope="session")
async def ordering(orders_settings: OrdersSettings, people_server: People) -> AsyncIterator[Ordering]:
    changes = {"customers_address": f"127.0.0.1:{people_server.port}", "background_work": False}
    container = OrdersContainer(settings=orders_settings.model_copy(update=changes))
    async with served(service_parts(container)) as server:
        yield Ordering(server, container)


@pytest_asyncio.fixture(scope="session")
async def database(orders_settings: OrdersSettings) -> AsyncIterator[AsyncEngine]:
    """Connections of the one who may do everything."""
    conninfo = service_conninfo(orders_settings.database_uri, schema=SCHEMA, role=None)
    async with disposing(make_engine(conninfo, size_max=3)) as engine:
        yield engine


@pytest_asyncio.fixture
async def counter(ordering: Ordering, identities: Identities, people: People, database: AsyncEngine) -> AsyncIterator[Counter]:
    counter = await open_counter(ordering.server, identities, people, ordering.container.ordering().payment_steps(), database)
    yield counter
    assert await counter.broken_rules() == []


@pytest.fixture
def crew(counter: Counter) -> Crew:
    return Crew(counter, counter.person(), counter.person("staff"), counter.person("staff", "pharmacist"), counter.person("admin"))
