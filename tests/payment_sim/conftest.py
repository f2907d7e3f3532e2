"""A simulator for each test, once in memory and once in PostgreSQL where the store matters, an API client, and a webhook endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from deploy.local.payment_sim.testing import SimulatorHandle, running_simulator
from tests.payment_sim.client import Api
from tests.payment_sim.endpoint import Endpoint, listening_endpoint


@pytest.fixture
async def simulator() -> AsyncIterator[SimulatorHandle]:
    """In memory."""
    async with running_simulator() as handle:
        yield handle


@pytest.fixture(params=["memory", "postgres"])
async def any_simulator(request: pytest.FixtureRequest) -> AsyncIterator[SimulatorHandle]:
    """In memory and in PostgreSQL."""
    database_uri: str | None = request.getfixturevalue("database_uri") if request.param == "postgres" else None
    async with running_simulator(database_uri=database_uri) as handle:
        await handle.reset()
        yield handle


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client; no test waits longer than 10 s for an answer."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


@pytest.fixture
def api(simulator: SimulatorHandle, http: aiohttp.ClientSession) -> Api:
    return Api(simulator.url, http)


@pytest.fixture
async def endpoint(simulator: SimulatorHandle) -> AsyncIterator[Endpoint]:
    """Receives the simulator's webhooks."""
    async with listening_endpoint() as endpoint:
        simulator.send_webhooks_to(endpoint.url)
        yield endpoint
