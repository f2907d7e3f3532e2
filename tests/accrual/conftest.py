"""The accrual service on a real server and a real PostgreSQL, with the real balance service and the simulated accrual system."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from galen.accrual.v1.accrual_service_pb2_grpc import AccrualServiceStub
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from deploy.local.accrual_sim.testing import SimulatorHandle, running_simulator
from services.accrual.container import AccrualContainer, service_parts
from services.accrual.settings import AccrualSettings
from shared.testing.identities import Identities
from shared.testing.servers import ServedService, served
from tests.accrual.world import Customer, Owner, World, fresh_number


@pytest.fixture
def number() -> str:
    return fresh_number()


@pytest.fixture(scope="session")
def service_token_file(identities: Identities, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "accrual.jwt"
    path.write_text(identities.service_token("accrual"))
    return path


@pytest.fixture
async def owner(database_uri: str, accrual_role: str) -> AsyncIterator[Owner]:
    """Empty tables: what is due there would be anybody's work."""
    async with await psycopg.AsyncConnection.connect(database_uri, autocommit=True, options="-c search_path=accrual") as connection:
        owner = Owner(connection)
        await owner.reset()
        yield owner


@pytest.fixture
async def simulator() -> AsyncIterator[SimulatorHandle]:
    async with running_simulator() as handle:
        yield handle


@pytest.fixture
def accrual_settings(
    owner: Owner,
    database_uri: str,
    accrual_role: str,
    simulator: SimulatorHandle,
    balance_server: ServedService,
    identities: Identities,
    service_token_file: Path,
) -> AccrualSettings:
    """Quick ones: polls follow each other fast, and the dead are buried soon."""
    return AccrualSettings(
        database_uri=database_uri,
        database_role=accrual_role,
        jwks_file=identities.jwks_file,
        page_token_key_file=identities.page_token_key_file,
        service_token_file=service_token_file,
        accrual_system_address=simulator.url,
        balance_address=balance_server.address,
        poll_idle_s=0.05,
        poll_back_off_first_s=0.1,
        poll_back_off_max_s=0.4,
        provider_total_s=1.0,
        lease_s=2.0,
        breaker_cool_down_s=0.2,
        breaker_cool_down_max_s=1.0,
        jobs_dead_after_s=3.0,
    )


@pytest_asyncio.fixture
async def world(
    accrual_settings: AccrualSettings, simulator: SimulatorHandle, balance: BalanceServiceStub, identities: Identities
) -> AsyncIterator[World]:
    """Everything running, the poller too."""
    async with served(service_parts(AccrualContainer(settings=accrual_settings))) as server:
        yield World(AccrualServiceStub(server.channel), balance, simulator, identities, accrual_settings, server)


@pytest.fixture
def customer(world: World) -> Customer:
    return world.new_customer()
