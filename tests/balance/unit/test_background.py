"""What runs beside the calls ends when it is told to, even if a cancellation gets lost on the way, as Python 3.11 may lose one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from services.balance.application.history_ports import Heard, Place
from services.balance.application.watch_operations import WatchOperations
from services.balance.domain.names import AccountName
from services.balance.entrypoints.jobs.auditing import Auditing
from services.balance.entrypoints.jobs.chaining import Chaining
from services.balance.entrypoints.jobs.sweeper import BATCH, Sweeper


class Swallowing:
    """A database, as the loops use it: what is asked of it first is answered when the asker is cancelled, and as if nothing were."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def lose_a_cancellation(self) -> None:
        is_first = not self.asked.is_set()
        self.asked.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            if not is_first:
                raise

    async def run_once(self, batch: int) -> int:
        await self.lose_a_cancellation()
        return batch

    async def step(self) -> tuple[int, list[Any]]:
        await self.lose_a_cancellation()
        return BATCH, []

    async def lag_s(self) -> float:
        return 0

    async def run(self) -> AsyncGenerator[Any, None]:
        await self.lose_a_cancellation()
        for finding in list[Any]():
            yield finding

    async def last(self) -> None:
        return None

    async def read(self, places: Collection[Place]) -> Mapping[Place, Heard]:
        await self.lose_a_cancellation()
        return {}


class Unobserved:
    def audited(self, result: object) -> None: ...

    def chained(self, lag_s: float) -> None: ...


def sweeper(database: Any) -> Callable[[], Awaitable[None]]:
    return Sweeper(database, 0.001, CollectorRegistry()).run


def chaining(database: Any) -> Callable[[], Awaitable[None]]:
    return Chaining(database, database, cast("Any", Unobserved()), every_s=0.001, batch=BATCH).run


def auditing(database: Any) -> Callable[[], Awaitable[None]]:
    return Auditing(database, database, cast("Any", Unobserved()), interval_s=0.001).run


def watching(database: Any) -> Callable[[], Awaitable[None]]:
    watch = WatchOperations(database, poll_every_s=0.001, heartbeat_s=60)

    async def run_watched() -> None:
        watcher = asyncio.ensure_future(anext(watch.watch(AccountName("main", "-"), None)))
        try:
            await watch.run()
        finally:
            watcher.cancel()

    return run_watched


@pytest.mark.parametrize("made", [sweeper, chaining, auditing, watching])
async def test_a_loop_ends_though_what_it_awaited_swallowed_the_cancellation(made: Callable[[Any], Callable[[], Any]]) -> None:
    database = Swallowing()
    loop = asyncio.create_task(made(database)())
    await database.asked.wait()

    loop.cancel()
    await asyncio.wait([loop], timeout=2)

    ended = loop.done()
    loop.cancel()
    assert ended
