from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_asyncio

from deploy.local.accrual_sim.testing import SimulatorHandle, running_simulator
from services.accrual.container import AccrualContainer
from services.accrual.container import service_parts as accrual_parts
from services.accrual.settings import AccrualSettings
from services.orders.application.ordering.ports import PaymentArbiter
from services.orders.settings import OrdersSettings
from shared.grpc.runtime import running
from shared.testing.identities import Identities
from shared.testing.servers import ServedService, free_port
from tests.orders.customers_peer import People, people_served
from tests.orders.shop import QUICK, Shop, open_shop, shop_database


@pytest_asyncio.fixture(scope="session")
async def people() -> AsyncIterator[People]:
    async with people_served() as people:
        yield people


@pytest.fixture
def shop_settings(postgres_server_uri: str, identities: Identities, orders_token_file: Path) -> Iterator[OrdersSettings]:
    """Of a service in an empty database, with accrual being away."""
    with shop_database(postgres_server_uri) as (uri, role):
        yield OrdersSettings(
            database_uri=uri,
            database_role=role,
            jwks_file=identities.jwks_file,
            page_token_key_file=identities.page_token_key_file,
            service_token_file=orders_token_file,
            accrual_address=f"127.0.0.1:{free_port()}",
            **QUICK,
        )


class OpenShop(Protocol):
    """Runs a service with some settings changed."""

    def __call__(self, *, arbiter: PaymentArbiter | None = None, **changes: Any) -> AbstractAsyncContextManager[Shop]: ...


@pytest.fixture
def open_for(shop_settings: OrdersSettings, identities: Identities, people: People) -> OpenShop:
    def open_with(*, arbiter: PaymentArbiter | None = None, **changes: Any) -> AbstractAsyncContextManager[Shop]:
        return open_shop(OrdersSettings(**(shop_settings.model_dump() | changes)), identities, people, arbiter)

    return open_with


@pytest.fixture
async def simulator() -> AsyncIterator[SimulatorHandle]:
    async with running_simulator() as handle:
        yield handle


@pytest.fixture
def accrual_settings(
    database_uri: str,
    accrual_role: str,
    simulator: SimulatorHandle,
    balance_server: ServedService,
    identities: Identities,
    tmp_path: Path,
) -> AccrualSettings:
    """Quick ones, at a port that nobody listens on yet."""
    token_file = tmp_path / "accrual.jwt"
    token_file.write_text(identities.service_token("accrual"))
    return AccrualSettings(
        grpc_address=f"127.0.0.1:{free_port()}",
        metrics_address=f"127.0.0.1:{free_port()}",
        database_uri=database_uri,
        database_role=accrual_role,
        jwks_file=identities.jwks_file,
        page_token_key_file=identities.page_token_key_file,
        service_token_file=token_file,
        accrual_system_address=simulator.url,
        balance_address=balance_server.address,
        poll_idle_s=0.05,
        poll_back_off_first_s=0.1,
        poll_back_off_max_s=0.4,
        drain_s=0,
    )


@pytest_asyncio.fixture
async def accrual(accrual_settings: AccrualSettings) -> AsyncIterator[AccrualSettings]:
    """The accrual service, with the real balance service and the simulated accrual system behind it."""
    async with running(accrual_parts(AccrualContainer(settings=accrual_settings))):
        yield accrual_settings
