"""A gateway whose services are fakes, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from shared.testing.identities import Identities
from tests.gateway.client import Client
from tests.gateway.fakes import FakeServices, served_fakes
from tests.gateway.serving import ServedGateway, served_gateway


@pytest_asyncio.fixture(scope="session")
async def all_fakes() -> AsyncIterator[tuple[FakeServices, str]]:
    async with served_fakes() as served:
        yield served


@pytest.fixture
def fakes(all_fakes: tuple[FakeServices, str]) -> Iterator[FakeServices]:
    """The services, with nothing noted and nothing told yet."""
    services, _ = all_fakes
    services.calls.clear()
    yield services
    services.answers.clear()


@pytest.fixture(scope="session")
def gateway_settings(all_fakes: tuple[FakeServices, str], identities: Identities) -> dict[str, object]:
    """What a gateway needs to know of the fakes."""
    _, address = all_fakes
    return {
        "jwks_file": identities.jwks_file,
        "customers_address": address,
        "accrual_address": address,
        "balance_address": address,
        "orders_address": address,
    }


@pytest_asyncio.fixture(scope="session")
async def gateway(gateway_settings: dict[str, object]) -> AsyncIterator[ServedGateway]:
    """Impatient, so that slow clients and slow services can be tested."""
    async with served_gateway(**gateway_settings, request_limit_s=1.0, head_limit_s=1.0, body_limit_s=1.0, write_limit_s=1.0) as gateway:
        yield gateway


@pytest.fixture
async def client(gateway: ServedGateway, fakes: FakeServices, identities: Identities) -> AsyncIterator[Client]:
    """A customer who is logged in."""
    async with Client.session_to(gateway.url) as session:
        yield Client(session, gateway.port, identities)
