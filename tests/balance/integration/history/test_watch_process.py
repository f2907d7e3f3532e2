"""Watching a server that is a process of its own, and dies."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from services.balance.settings import BalanceSettings
from shared.testing.identities import Identities
from shared.testing.servers import free_port
from tests.balance.watching import EVERY_ACCOUNT, watching
from tests.balance.world import Owner


@asynccontextmanager
async def process(settings: BalanceSettings) -> AsyncIterator[tuple[asyncio.subprocess.Process, grpc.aio.Channel]]:
    """A server for as long as the block lasts, or until somebody kills it."""
    address = f"127.0.0.1:{free_port()}"
    own = settings.model_copy(update={"grpc_address": address, "metrics_address": f"127.0.0.1:{free_port()}"})
    given = {name.upper(): str(value) for name, value in own.model_dump(exclude_none=True).items()}
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.balance", "serve",
        env=given, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            await asyncio.wait_for(channel.channel_ready(), 30)
            yield running, channel
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()


@pytest.mark.parametrize("everybody", [False, True])
async def test_after_the_server_was_killed_in_the_middle_of_a_watch_another_one_goes_on_exactly_there(
    history_settings: BalanceSettings, owner: Owner, identities: Identities, everybody: bool
) -> None:
    parent = EVERY_ACCOUNT if everybody else owner.account
    staff = identities.customer("staff-1", roles=("staff",))
    async with process(history_settings) as (running, channel), watching(BalanceServiceStub(channel), staff, parent) as watcher:

        async def write(count: int) -> None:
            for _ in range(count):
                await owner.credit(1)

        writing = asyncio.create_task(write(60))
        await watcher.hear_operations(20)
        running.kill()
        with pytest.raises(grpc.aio.AioRpcError) as broken:
            await watcher.hear_operations(10_000)
        await writing
    await write(10)

    assert broken.value.code() is grpc.StatusCode.UNAVAILABLE
    async with process(history_settings) as (_, channel), watching(BalanceServiceStub(channel), staff, parent, watcher.token) as again:
        await again.hear(lambda again: again.names[-1:] == [f"{owner.account}/operations/70"])
    told = [name for name in (*watcher.names, *again.names) if name.startswith(owner.account)]
    assert told == [f"{owner.account}/operations/{version}" for version in range(1, 71)]
