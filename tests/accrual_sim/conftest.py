"""A simulator for each test, once in memory and once in PostgreSQL where the store matters, and an HTTP client."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from deploy.local.accrual_sim.testing import SimulatorHandle, running_simulator


@pytest.fixture
async def simulator() -> AsyncIterator[SimulatorHandle]:
    """In memory, without a calculation delay."""
    async with running_simulator() as handle:
        yield handle


@pytest.fixture(params=["memory", "postgres"])
async def any_simulator(request: pytest.FixtureRequest) -> AsyncIterator[SimulatorHandle]:
    """In memory and in PostgreSQL, without a calculation delay."""
    database_uri: str | None = request.getfixturevalue("database_uri") if request.param == "postgres" else None
    async with running_simulator(database_uri=database_uri) as handle:
        await handle.reset()
        yield handle


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client; no test waits longer than 10 s for an answer."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session
