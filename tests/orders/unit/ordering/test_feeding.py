"""The loop that keeps the feed: at once again while there is more, and never ended by a failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.orders.entrypoints.jobs.feeding import BATCH, Feeding


class FakeWriter:
    """Has so many events to move and places to prune."""

    def __init__(self, waiting: int = 0, old: int = 0) -> None:
        self.waiting = waiting
        self.old = old
        self.failures = 0

    async def move(self, limit: int) -> int:
        if self.failures:
            self.failures -= 1
            raise ConnectionError
        moved = min(limit, self.waiting)
        self.waiting -= moved
        return moved

    async def prune(self, kept_days: int, limit: int) -> int:
        assert kept_days == 30
        pruned = min(limit, self.old)
        self.old -= pruned
        return pruned

    async def lag_s(self) -> float:
        return 1.5


class FakeObserver:
    def __init__(self) -> None:
        self.lags: list[float] = []
        self.errors: list[Exception] = []

    def lagged(self, lag_s: float) -> None:
        self.lags.append(lag_s)

    def failed(self, error: Exception) -> None:
        self.errors.append(error)


@asynccontextmanager
async def feeding(writer: FakeWriter, observer: FakeObserver, every_s: float) -> AsyncIterator[None]:
    loop = asyncio.create_task(Feeding(writer, observer, every_s=every_s, kept_days=30).run())
    try:
        yield
    finally:
        loop.cancel()


async def test_a_backlog_is_worked_off_without_pauses_and_its_lag_is_measured() -> None:
    writer, observer = FakeWriter(waiting=5 * BATCH + 1, old=2 * BATCH), FakeObserver()
    async with feeding(writer, observer, every_s=60), asyncio.timeout(5):
        while writer.waiting or writer.old:  # noqa: ASYNC110  a fake knows nobody
            await asyncio.sleep(0.001)

    assert (writer.waiting, writer.old) == (0, 0)
    assert observer.lags == [1.5]


async def test_a_failure_is_told_of_and_tried_again() -> None:
    writer, observer = FakeWriter(waiting=1), FakeObserver()
    writer.failures = 2
    async with feeding(writer, observer, every_s=0.005), asyncio.timeout(5):
        while writer.waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    assert writer.waiting == 0
    assert [type(error) for error in observer.errors] == [ConnectionError] * 2
