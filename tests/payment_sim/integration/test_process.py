"""The simulator as a process: start by variables alone, signals, kill -9, faults of its start."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from deploy.local.payment_sim.testing import running_simulator
from tests.payment_sim.client import Api
from tests.payment_sim.endpoint import listening_endpoint


@asynccontextmanager
async def started(**variables: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Starts it with variables alone and waits for the line that tells its port."""
    process = await _spawn(**variables)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            line = json.loads(await process.stdout.readline())
        assert line["event"] == "listening"
        yield process, f"http://{line['address']}"
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def _spawn(**variables: str) -> asyncio.subprocess.Process:
    ours = ("DATABASE_URI", "DATABASE_ROLE", "RUN_ADDRESS", "LOG_FORMAT")
    inherited = {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("PAYMENT_SIM_")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.local.payment_sim"),
        env=inherited | {"RUN_ADDRESS": "127.0.0.1:0", "LOG_FORMAT": "json"} | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def _end(process: asyncio.subprocess.Process, number: signal.Signals) -> int | None:
    process.send_signal(number)
    async with asyncio.timeout(10):
        await process.communicate()
    return process.returncode


@pytest.fixture
async def emptied(database_uri: str) -> str:
    async with running_simulator(database_uri=database_uri) as simulator:
        await simulator.reset()
    return database_uri


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_with_status_0(http: aiohttp.ClientSession, number: signal.Signals) -> None:
    async with started() as (process, url):
        assert (await Api(url, http).create()).status == 200
        assert await _end(process, number) == 0


async def test_kill_9_loses_neither_money_nor_answers_nor_webhooks(emptied: str, tmp_path: Path, http: aiohttp.ClientSession) -> None:
    (tmp_path / "secrets").write_text("whsec_galen_test\n")
    async with listening_endpoint() as endpoint:
        variables = {
            "DATABASE_URI": emptied,
            "PAYMENT_SIM_WEBHOOK_URL": endpoint.url,
            "PAYMENT_SIM_WEBHOOK_SECRETS_FILE": str(tmp_path / "secrets"),
            "PAYMENT_SIM_PROCESSING_S": "0.5",
        }
        endpoint.answers = [503] * 4
        async with started(**variables) as (process, url):
            api = Api(url, http)
            paid = await api.create(key="k", confirm="true", payment_method="pm_card_visa")
            refund = await api.refund(paid.id, key="r", amount="100")
            slow = await api.paid("pm_card_processing")
            process.kill()
            await process.communicate()
        async with started(**variables) as (_, url):
            api = Api(url, http)
            again = await api.create(key="k", confirm="true", payment_method="pm_card_visa")
            assert (again.document, again.headers["Idempotent-Replayed"]) == (paid.document, "true")
            assert (await api.refund(paid.id, key="r", amount="100")).document == refund.document
            async with asyncio.timeout(10):
                while await api.status(slow.id) != "succeeded":  # noqa: ASYNC110 (only the API tells)
                    await asyncio.sleep(0.05)
            async with http.get(f"{url}/control/money") as answer:
                assert (await answer.json())["totals"] == {"rub": {"captured": 140_000, "refunded": 100, "held": 0}}
            wanted = [event["id"] for event in (await api.get("/v1/events?limit=100")).document["data"]]
            async with asyncio.timeout(20):
                while {each.event["id"] for each in endpoint.received if each.status == 200} != set(wanted):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert len(wanted) == 10


async def test_it_takes_only_the_key_of_the_file(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    (tmp_path / "key").write_text("sk_test_galen\n")
    async with started(PAYMENT_SIM_KEY_FILE=str(tmp_path / "key")) as (_, url):
        assert (await Api(url, http).create()).status == 200
        assert (await Api(url, http).post("/v1/payment_intents", "amount=5&currency=rub", Authorization="Bearer sk_test_x")).status == 401


@pytest.mark.parametrize(
    ("variables", "status", "said"),
    [
        ({"RUN_ADDRESS": "127.0.0.1"}, 2, "RUN_ADDRESS"),
        ({"DATABASE_URI": "mysql://x"}, 2, "DATABASE_URI"),
        ({"PAYMENT_SIM_CHAOS_SEED": "x"}, 2, "PAYMENT_SIM_CHAOS_SEED"),
        ({"PAYMENT_SIM_HOLD_S": "-1"}, 2, "PAYMENT_SIM_HOLD_S"),
        ({"PAYMENT_SIM_CHAOS_SEED": "1", "PAYMENT_SIM_CHAOS_RATE": "7"}, 2, "PAYMENT_SIM_CHAOS_RATE"),
        ({"PAYMENT_SIM_KEY_FILE": "/no/such/file"}, 2, "PAYMENT_SIM_KEY_FILE"),
        ({"PAYMENT_SIM_WEBHOOK_URL": "http://127.0.0.1:9"}, 2, "PAYMENT_SIM_WEBHOOK_SECRETS_FILE"),
        ({"PAYMENT_SIM_WEBHOOK_URL": "shop"}, 2, "PAYMENT_SIM_WEBHOOK_URL"),
        ({"DATABASE_URI": "postgresql://127.0.0.1:9/x"}, 1, "cannot start"),
    ],
)
async def test_a_wrong_setting_ends_the_start_with_its_name(variables: dict[str, str], status: int, said: str) -> None:
    process = await _spawn(**variables)
    async with asyncio.timeout(20):
        _, told = await process.communicate()
    assert (process.returncode, said in told.decode()) == (status, True), told.decode()
