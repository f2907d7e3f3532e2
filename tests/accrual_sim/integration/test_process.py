"""The simulator as a process: start by variables alone, signals, kill -9, faults of its start."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from deploy.local.accrual_sim.testing import running_simulator


class Process:
    """A running simulator."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process = process
        self.url = url

    async def end(self, number: signal.Signals) -> int:
        """Sends the signal and returns the exit status."""
        self._process.send_signal(number)
        async with asyncio.timeout(10):
            await self._process.communicate()
        assert self._process.returncode is not None
        return self._process.returncode


@asynccontextmanager
async def started(**variables: str) -> AsyncIterator[Process]:
    """Starts it with variables alone and waits for the line that tells its port."""
    process = await _spawn(**variables)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            line = json.loads(await process.stdout.readline())
        assert line["event"] == "listening"
        yield Process(process, f"http://{line['address']}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def _spawn(**variables: str) -> asyncio.subprocess.Process:
    inherited = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URI", "RUN_ADDRESS", "LOG_FORMAT")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.local.accrual_sim"),
        env=inherited | {"RUN_ADDRESS": "127.0.0.1:0", "LOG_FORMAT": "json"} | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_with_status_0_even_while_it_answers(http: aiohttp.ClientSession, number: signal.Signals) -> None:
    async with started() as process:
        slow = {"faults": [{"kind": "slow", "delay_s": 600}]}
        async with http.put(f"{process.url}/control/faults", json=slow) as response:
            assert response.status == 200
        waiting = asyncio.create_task(http.get(f"{process.url}/api/orders/18").__aenter__())
        await asyncio.sleep(0.2)
        assert await process.end(number) == 0
        with pytest.raises(aiohttp.ClientConnectionError):
            await waiting


async def test_goods_and_orders_survive_kill_9(database_uri: str, http: aiohttp.ClientSession) -> None:
    goods = {"match": "Bork", "reward": 10, "reward_type": "%"}
    async with started(DATABASE_URI=database_uri) as process:
        async with http.delete(f"{process.url}/control") as response:
            assert response.status == 204
        async with http.post(f"{process.url}/api/goods", json=goods) as response:
            assert response.status == 200
        order = {"order": "18", "goods": [{"description": "Bork", "price": 100}]}
        async with http.post(f"{process.url}/api/orders", json=order) as response:
            assert response.status == 202
        assert await process.end(signal.SIGKILL) == -signal.SIGKILL
    async with started(DATABASE_URI=database_uri) as process:
        async with http.post(f"{process.url}/api/goods", json=goods) as response:
            assert response.status == 409
        await asyncio.sleep(1)  # the calculation delay; it runs on while the process is down
        async with http.get(f"{process.url}/api/orders/18") as response:
            assert await response.json() == {"order": "18", "status": "PROCESSED", "accrual": 10}
        assert await process.end(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("variables", "status", "told"),
    [
        ({"RUN_ADDRESS": "nonsense"}, 2, "RUN_ADDRESS"),
        ({"DATABASE_URI": "postgres://nobody@127.0.0.1:1/nothing"}, 1, "cannot start"),
    ],
)
async def test_what_it_cannot_use_is_told_and_ends_it(variables: dict[str, str], status: int, told: str) -> None:
    process = await _spawn(**variables)
    async with asyncio.timeout(20):
        _, errors = await process.communicate()
    assert process.returncode == status
    assert told in errors.decode()
    assert "Traceback" not in errors.decode()


async def test_a_port_that_is_taken_is_told() -> None:
    async with running_simulator() as simulator:
        process = await _spawn(RUN_ADDRESS=simulator.url)
        async with asyncio.timeout(20):
            _, errors = await process.communicate()
    assert process.returncode == 1
    assert "cannot start" in errors.decode()
