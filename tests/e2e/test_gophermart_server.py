"""`galen up` with nothing but three variables and an empty database is a complete Gophermart server."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import psycopg
import pytest
import pytest_asyncio

from deploy.local.accrual_sim.testing import SimulatorHandle, running_simulator
from shared.testing.databases import fresh_database
from tests.e2e.books import check_books
from tests.e2e.shopper import Shopper, teach_rewards
from tests.e2e.stack_process import StackProcess, is_gone

ACCEPTS_WITHIN_S = 15.0


@pytest.fixture
def empty_database(postgres_server_uri: str) -> Iterator[str]:
    with fresh_database(postgres_server_uri) as uri:
        yield uri


@pytest_asyncio.fixture
async def accrual_system() -> AsyncIterator[SimulatorHandle]:
    async with running_simulator(calculation_delay_s=0.2) as simulator:
        yield simulator


@pytest_asyncio.fixture
async def server(folder: Path, empty_database: str, accrual_system: SimulatorHandle) -> AsyncIterator[StackProcess]:
    """No arguments. GALEN_STATE is there only because a developer's own stack may use the default folder of this clone."""
    server = StackProcess(folder, DATABASE_URI=empty_database, ACCRUAL_SYSTEM_ADDRESS=accrual_system.url)
    try:
        yield server
    finally:
        await server.clean_up()


async def accepts(port: int, *, since: float, limit_s: float) -> float:
    """Returns how many seconds after `since` the port accepted. Raises AssertionError after `limit_s`."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            assert time.monotonic() - since < limit_s, "the port does not accept"
            await asyncio.sleep(0.02)
        else:
            writer.close()
            await writer.wait_closed()
            return time.monotonic() - since


async def test_it_accepts_in_time_serves_the_whole_loop_and_leaves_nothing_behind(
    server: StackProcess, empty_database: str, accrual_system: SimulatorHandle
) -> None:
    # Of a machine that is ours alone: where more is to be done than it has cores, everything takes longer by that much.
    limit_s = ACCEPTS_WITHIN_S * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    server.launch()
    await accepts(server.edge_port, since=server.started_at, limit_s=limit_s)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        await teach_rewards(session, accrual_system.url)
        shopper = Shopper(session, f"http://127.0.0.1:{server.edge_port}", accrual_system.url)
        await shopper.walk()
    assert shopper.outages == 0, "once the port accepts, everything behind it is there"
    check_books(empty_database, [shopper])
    family = server.family()
    assert not [process for process in family if "postgres" in process.name() or "accrual-sim" in process.cmdline()]

    assert await server.stop() == 0
    assert [process for process in family if not is_gone(process)] == []
    with psycopg.connect(empty_database) as connection:
        others = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        assert connection.execute(others).fetchone() == (0,)
