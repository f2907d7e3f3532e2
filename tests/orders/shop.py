"""A whole orders service with its work in the background, in a database of its own: nobody else's orders are due there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from galen.orders.v1.order_pb2 import Order
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.adapters.postgres.tables import SCHEMA
from services.orders.application.ordering.ports import PaymentArbiter
from services.orders.container import OrdersContainer, service_parts
from services.orders.migrations.schema import schema
from services.orders.settings import OrdersSettings
from shared.postgres.conninfo import service_conninfo
from shared.postgres.engine import disposing, make_engine
from shared.postgres.migrations import migrate
from shared.testing.databases import fresh_database, make_role
from shared.testing.identities import Identities
from shared.testing.servers import ServedService, served
from tests.orders.counter import Counter, Crew, open_counter
from tests.orders.customers_peer import People

T = TypeVar("T")

# Quick ones.
QUICK: dict[str, Any] = {"sweep_every_s": 0.1, "jobs_dead_after_s": 1.5, "feed_every_s": 0.1}


@contextmanager
def shop_database(server_uri: str) -> Iterator[tuple[str, str]]:
    """Yields the URI of a database with the schema of the service, and the service's role there."""
    with fresh_database(server_uri) as uri:
        role = make_role(uri, "orders_app")
        migrate(schema, uri, role=role)
        yield uri, role


@dataclass(frozen=True)
class Shop:
    """A service that runs, its people, and what is in its database."""

    container: OrdersContainer
    server: ServedService
    counter: Counter
    crew: Crew

    async def jobs(self, name: str = "%") -> list[Any]:
        """Returns the jobs that are not done, as (name, status, attempts)."""
        query = "select task_name, status::text, attempts from procrastinate_jobs where task_name like %s order by id"
        return [tuple(row) for row in await self.counter.rows(query, name)]

    async def reached(self, order: Order, state: int, *, within_s: float = 20) -> Order:
        """Waits until the order has come to the state; returns it."""

        async def look() -> Order | None:
            found = await self.crew.staff.get(order.name)
            return found if found.state == state else None

        return await eventually(look, within_s=within_s)


@asynccontextmanager
async def open_shop(
    settings: OrdersSettings, identities: Identities, people: People, arbiter: PaymentArbiter | None = None
) -> AsyncIterator[Shop]:
    """Serves until the block ends; with another arbiter of payments than the service's own, if one is given."""
    container = OrdersContainer(settings=settings.model_copy(update={"customers_address": f"127.0.0.1:{people.port}"}))
    if arbiter is not None:
        container.arbiter.override(arbiter)
    async with served(service_parts(container)) as server, owner_engine(settings) as engine:
        counter = await open_counter(server, identities, people, container.ordering().payment_steps(), engine)
        crew = Crew(counter, counter.person(), counter.person("staff"), counter.person("staff", "pharmacist"), counter.person("admin"))
        yield Shop(container, server, counter, crew)


@asynccontextmanager
async def owner_engine(settings: OrdersSettings) -> AsyncIterator[AsyncEngine]:
    """Connections of the one who may do everything."""
    conninfo = service_conninfo(settings.database_uri, schema=SCHEMA, role=None)
    async with disposing(make_engine(conninfo, size_max=3)) as engine:
        yield engine


async def eventually(look: Callable[[], Awaitable[T | None]], *, within_s: float = 20) -> T:
    """Repeats `look` until it returns something true; returns that. Raises AssertionError when the time is up."""
    deadline = time.monotonic() + within_s
    while True:
        found = await look()
        if found:
            return found
        assert time.monotonic() < deadline, "it did not come about in time"
        await asyncio.sleep(0.03)
