"""The gateway as a process: it starts with settings from the environment, drains on a signal, and ends with exit code 0."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from galen.balance.v1 import balance_service_pb2 as balance

from shared.testing.identities import Identities
from shared.testing.servers import free_port
from tests.gateway.client import BALANCE, Client
from tests.gateway.fakes import FakeServices


@asynccontextmanager
async def started(environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    inherited = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "HOME")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.gateway",
        "serve",
        env={**inherited, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def environment_of(settings: dict[str, Any], **more: str) -> dict[str, str]:
    return {**{name.upper(): str(value) for name, value in settings.items()}, "LOG_FORMAT": "json", **more}


async def until_ready(session: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(15):
        while True:
            try:
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_once_its_requests_have_ended(
    fakes: FakeServices, gateway_settings: dict[str, Any], identities: Identities, number: signal.Signals
) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(_request: Any) -> Any:
        entered.set()
        await leave.wait()
        return balance.GetAccountResponse()

    fakes.answers["GetAccount"] = slow
    port, metrics_port = free_port(), free_port()
    environment = environment_of(gateway_settings, RUN_ADDRESS=f":{port}", METRICS_ADDRESS=f"127.0.0.1:{metrics_port}", DRAIN_S="0.5")
    async with started(environment) as process, Client.session_to(f"http://127.0.0.1:{port}") as session:
        await until_ready(session, f"http://127.0.0.1:{metrics_port}/readyz")
        client = Client(session, port, identities)
        running = asyncio.create_task(client.ask("GET", BALANCE))
        await asyncio.wait_for(entered.wait(), 5)

        process.send_signal(number)
        await asyncio.sleep(0.2)
        async with session.get(f"http://127.0.0.1:{metrics_port}/readyz") as ready:
            assert ready.status == 503
        late = await client.ask("GET", "/nowhere")  # those who have not noticed yet are served, for the last time
        await asyncio.sleep(0.6)
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), 1)
        leave.set()

        assert (await running).status == 200
        assert (late.status, late.headers["Connection"]) == (404, "close")
        output, _ = await asyncio.wait_for(process.communicate(), 10)
        assert process.returncode == 0
        assert b"drained" in output
        assert b"Traceback" not in output


async def test_faults_in_the_settings_are_all_told_and_nothing_starts() -> None:
    async with started({"RUN_ADDRESS": "nowhere", "TRUSTED_PROXIES": "everyone"}) as process:
        output, _ = await asyncio.wait_for(process.communicate(), 15)
    assert process.returncode == 2
    assert {line.partition(b":")[0] for line in output.splitlines()} == {b"RUN_ADDRESS", b"TRUSTED_PROXIES"}
