"""What tests of the coalescer share.

Nothing here waits for time to pass: the fake ledger answers when it is told to, the clock stands still.
Where a pause would be wrong it is an hour long, so that a test which needs it fails by its time limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar

from shared.coalescer import Coalescer

T = TypeVar("T")

AN_HOUR_S = 3600.0
caller = ContextVar("caller", default="nobody")


class Poison(Exception):
    pass


class Outage(Exception):
    pass


class Ledger:
    """Doubles numbers, batch by batch. Once `hold` was called, each batch waits for a `release`."""

    def __init__(self, *, poison: Sequence[int] = ()) -> None:
        self.batches: list[list[int]] = []
        self.poison = set(poison)
        self.outage = False
        self.running = 0
        self.running_most = 0
        self._gate: asyncio.Semaphore | None = None

    def hold(self) -> None:
        self._gate = asyncio.Semaphore(0)

    def release(self, batches: int = 1) -> None:
        assert self._gate is not None
        for _ in range(batches):
            self._gate.release()

    async def run(self, items: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(items))
        self.running += 1
        self.running_most = max(self.running, self.running_most)
        try:
            if self._gate is not None:
                await self._gate.acquire()
        finally:
            self.running -= 1
        if self.outage:
            raise Outage
        if self.poison.intersection(items):
            raise Poison
        return [2 * item for item in items]


class Observer:
    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.waiting: Callable[[], int] = lambda: -1

    def watch(self, waiting: Callable[[], int]) -> None:
        self.waiting = waiting

    def sent(self, size: int) -> None:
        self.sizes.append(size)


def start(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    return asyncio.create_task(work)


async def turns(count: int = 8) -> None:
    """Lets everything that is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def held(ledger: Ledger, coalescer: Coalescer[int, int], *waiting: int) -> list[asyncio.Task[int]]:
    """Sends item 0, which stays in flight, then the others, which wait; returns all the calls."""
    ledger.hold()
    first = start(coalescer.submit(0))
    await turns()
    calls = [first, *(start(coalescer.submit(item)) for item in waiting)]
    await turns()
    return calls


async def outcomes(calls: Sequence[asyncio.Task[int]]) -> list[int | BaseException]:
    return await asyncio.gather(*calls, return_exceptions=True)


def kinds(found: Sequence[int | BaseException]) -> list[object]:
    return [type(outcome) if isinstance(outcome, BaseException) else outcome for outcome in found]
