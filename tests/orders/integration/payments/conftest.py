from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.local.payment_sim.testing import API_KEY, WEBHOOK_SECRET, SimulatorHandle, running_simulator
from services.orders.adapters.http.stripe.provider import StripeProvider
from services.orders.container import OrdersContainer, service_parts
from services.orders.settings import OrdersSettings
from shared.testing.identities import Identities
from shared.testing.servers import ServedService, served
from tests.gateway.serving import served_gateway
from tests.orders.card_payments import client
from tests.orders.counter import Crew, open_counter
from tests.orders.customers_peer import People, people_served
from tests.orders.shop import owner_engine, shop_database
from tests.orders.till import Till


@pytest_asyncio.fixture(scope="module")
async def till_people() -> AsyncIterator[People]:
    async with people_served() as people:
        yield people


@pytest_asyncio.fixture(scope="module")
async def till_simulator() -> AsyncIterator[SimulatorHandle]:
    async with running_simulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def till_settings(
    postgres_server_uri: str,
    orders_settings: OrdersSettings,
    till_people: People,
    till_simulator: SimulatorHandle,
    balance_server: ServedService,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[OrdersSettings]:
    """In a database of its own: books are compared with this provider, which knows nobody else's payments."""
    folder: Path = tmp_path_factory.mktemp("provider")
    (folder / "key").write_text(API_KEY)
    (folder / "secrets").write_text(f"{WEBHOOK_SECRET}\nwhsec_the_one_before\n")
    changes: dict[str, Any] = {
        "customers_address": f"127.0.0.1:{till_people.port}",
        "balance_address": balance_server.address,
        "payment_provider_address": till_simulator.url,
        "payment_provider_key_file": folder / "key",
        "payment_webhook_secrets_file": folder / "secrets",
        "payment_look_every_s": 3600.0,  # tests look when they want to
    }
    with shop_database(postgres_server_uri) as (uri, role):
        yield orders_settings.model_copy(update={**changes, "database_uri": uri, "database_role": role})


@pytest_asyncio.fixture(scope="module")
async def till_container(till_settings: OrdersSettings) -> OrdersContainer:
    return OrdersContainer(settings=till_settings)


@pytest_asyncio.fixture(scope="module")
async def till_server(till_container: OrdersContainer) -> AsyncIterator[ServedService]:
    async with served(service_parts(till_container)) as server:
        yield server


@pytest_asyncio.fixture(scope="module")
async def till_database(till_settings: OrdersSettings) -> AsyncIterator[AsyncEngine]:
    async with owner_engine(till_settings) as engine:
        yield engine


@pytest_asyncio.fixture(scope="module")
async def edge_url(till_server: ServedService, balance_server: ServedService, identities: Identities) -> AsyncIterator[str]:
    """Where the provider sends its messages."""
    nobody = balance_server.address
    async with served_gateway(
        jwks_file=identities.jwks_file,
        customers_address=nobody,
        accrual_address=nobody,
        balance_address=nobody,
        orders_address=till_server.address,
    ) as gateway:
        yield f"{gateway.url}/webhooks/payments"


@pytest_asyncio.fixture
async def till(
    till_server: ServedService,
    till_container: OrdersContainer,
    till_simulator: SimulatorHandle,
    till_people: People,
    till_database: AsyncEngine,
    balance_server: ServedService,
    identities: Identities,
    edge_url: str,
) -> AsyncIterator[Till]:
    till_simulator.set_faults()
    till_simulator.send_webhooks_to(edge_url)
    counter = await open_counter(till_server, identities, till_people, till_container.ordering().payment_steps(), till_database)
    yield Till(counter, till_server, till_container, till_simulator, BalanceServiceStub(balance_server.channel), identities)
    assert await counter.broken_rules() == []


@pytest.fixture
def crew(till: Till) -> Crew:
    counter = till.counter
    return Crew(counter, counter.person(), counter.person("staff"), counter.person("staff", "pharmacist"), counter.person("admin"))


@pytest.fixture
async def simulator() -> AsyncIterator[SimulatorHandle]:
    async with running_simulator() as handle:
        yield handle


@pytest.fixture
async def provider(simulator: SimulatorHandle) -> AsyncIterator[StripeProvider]:
    """Sends each request once, so that a test sees what each answer means."""
    async with client(simulator).opened() as opened:
        yield opened
