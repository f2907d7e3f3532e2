"""Watching a server that is a process of its own, and dies."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from services.balance.settings import BalanceSettings
from shared.testing.identities import Identities
from tests.balance.ledger_process import ledger_process
from tests.balance.watching import EVERY_ACCOUNT, watching
from tests.balance.world import Owner


@pytest.mark.parametrize("everybody", [False, True])
async def test_after_the_server_was_killed_in_the_middle_of_a_watch_another_one_goes_on_exactly_there(
    history_settings: BalanceSettings, owner: Owner, identities: Identities, tmp_path: Path, everybody: bool
) -> None:
    parent = EVERY_ACCOUNT if everybody else owner.account
    staff = identities.customer("staff-1", roles=("staff",))
    async with (
        ledger_process(history_settings, tmp_path / "log") as process,
        process.channel() as channel,
        watching(BalanceServiceStub(channel), staff, parent) as watcher,
    ):

        async def write(count: int) -> None:
            for _ in range(count):
                await owner.credit(1)

        writing = asyncio.create_task(write(60))
        await watcher.hear_operations(20)
        await process.kill()
        with pytest.raises(grpc.aio.AioRpcError) as broken:
            await watcher.hear_operations(10_000)
        await writing
    await write(10)

    assert broken.value.code() is grpc.StatusCode.UNAVAILABLE
    async with (
        ledger_process(history_settings, tmp_path / "log") as process,
        process.channel() as channel,
        watching(BalanceServiceStub(channel), staff, parent, watcher.token) as again,
    ):
        await again.hear(lambda again: again.names[-1:] == [f"{owner.account}/operations/70"])
    told = [name for name in (*watcher.names, *again.names) if name.startswith(owner.account)]
    assert told == [f"{owner.account}/operations/{version}" for version in range(1, 71)]
