"""All services on real servers over one real PostgreSQL, the simulated accrual system behind them, the gateway before them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from deploy.local.accrual_sim.testing import SimulatorHandle, running_simulator
from services.accrual.container import AccrualContainer
from services.accrual.container import service_parts as accrual_parts
from services.accrual.migrations.schema import schema as accrual_schema
from services.accrual.settings import AccrualSettings
from services.balance.container import BalanceContainer
from services.balance.container import service_parts as balance_parts
from services.balance.migrations.schema import schema as balance_schema
from services.balance.settings import BalanceSettings
from services.customers.container import CustomersContainer
from services.customers.container import service_parts as customers_parts
from services.customers.migrations.schema import schema as customers_schema
from services.customers.settings import CustomersSettings
from shared.grpc.runtime import ServiceParts
from shared.postgres.migrations import migrate
from shared.testing.databases import fresh_database, make_role
from shared.testing.identities import Identities
from shared.testing.servers import ServedService, served
from tests.contract.shop import Shop, Shopper
from tests.gateway.serving import served_gateway


class Deployment:
    """What the settings of the services have in common."""

    def __init__(self, database_uri: str, identities: Identities, folder: Path, stack: AsyncExitStack) -> None:
        self.database_uri = database_uri
        self._identities = identities
        self._folder = folder
        self._stack = stack

    def settings(self, service: str) -> dict[str, Any]:
        token_file = self._folder / f"{service}.jwt"
        token_file.write_text(self._identities.service_token(service))
        return {
            "database_uri": self.database_uri,
            "jwks_file": self._identities.jwks_file,
            "page_token_key_file": self._identities.page_token_key_file,
            "service_token_file": token_file,
        }

    async def serve(self, parts: ServiceParts) -> ServedService:
        return await self._stack.enter_async_context(served(parts))


async def serve_services(deployment: Deployment, simulator: SimulatorHandle, identities: Identities) -> dict[str, str]:
    """Serves the three services; returns the settings with which the gateway finds them."""
    for schema, name in ((balance_schema, "balance"), (customers_schema, "customers"), (accrual_schema, "accrual")):
        migrate(schema, deployment.database_uri, role=make_role(deployment.database_uri, f"{name}_app"))
    balance_settings = BalanceSettings(**deployment.settings("balance"))
    balance = await deployment.serve(balance_parts(BalanceContainer(settings=balance_settings)))
    customers_settings = CustomersSettings(
        **deployment.settings("customers"),
        signing_key_file=identities.signing_key_file,
        balance_address=balance.address,
        argon2_memory_kib=8,
        argon2_iterations=1,
        argon2_lanes=1,
    )
    customers = await deployment.serve(customers_parts(CustomersContainer(settings=customers_settings)))
    accrual_settings = AccrualSettings(
        **deployment.settings("accrual"),
        balance_address=balance.address,
        accrual_system_address=simulator.url,
        poll_idle_s=0.05,
        poll_back_off_first_s=0.1,
        poll_back_off_max_s=0.4,
    )
    accrual = await deployment.serve(accrual_parts(AccrualContainer(settings=accrual_settings)))
    return {"balance_address": balance.address, "customers_address": customers.address, "accrual_address": accrual.address}


@pytest_asyncio.fixture(scope="module")  # its poller would go on asking about claims that stay open, beside all tests that follow
async def shop(postgres_server_uri: str, identities: Identities, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    """A database of its own, since the other tests' claims would be polled for too; pages so small that lists have several."""
    with fresh_database(postgres_server_uri) as uri:
        async with AsyncExitStack() as stack:
            simulator = await stack.enter_async_context(running_simulator())
            deployment = Deployment(uri, identities, tmp_path_factory.mktemp("deployment"), stack)
            addresses = await serve_services(deployment, simulator, identities)
            gateway = await stack.enter_async_context(served_gateway(jwks_file=identities.jwks_file, history_page_size=10, **addresses))
            yield Shop(gateway, simulator, identities)


@pytest.fixture
async def shopper(shop: Shop) -> AsyncIterator[Shopper]:
    """Someone who has just registered."""
    async with shop.new_shopper() as shopper:
        yield shopper


@pytest.fixture
async def stranger(shop: Shop) -> AsyncIterator[Shopper]:
    """Someone without credentials."""
    async with shop.stranger() as stranger:
        yield stranger
