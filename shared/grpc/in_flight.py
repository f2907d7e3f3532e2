"""Counts the work that is running, so that it can be limited, and awaited before what it needs is closed.

gRPC's own `stop` returns before handlers have ended (grpc/grpc#37239), and a write goes on when its caller is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any

import structlog

from shared.errors import Overloaded, Unavailable

log = structlog.get_logger()


class InFlight:
    """A counter with a limit. Entering beyond the limit raises Overloaded."""

    def __init__(self, limit: int, on_change: Callable[[int], None] = lambda _count: None) -> None:
        self._limit = limit
        self._on_change = on_change
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._writes: set[asyncio.Task[Any]] = set()

    @property
    def count(self) -> int:
        return self._count

    def __enter__(self) -> None:
        if self._count >= self._limit:
            raise Overloaded
        self._change(+1)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._change(-1)

    async def run_to_end(self, work: Awaitable[Any], limit_s: float) -> Any:
        """Awaits `work`, which goes on if the caller is cancelled: a write must not be left half-known. It is ended after `limit_s`."""
        task = asyncio.ensure_future(_bounded(work, limit_s))
        self._writes.add(task)  # the loop itself keeps weak references only
        task.add_done_callback(self._writes.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.done():
                self._adopt(task)
            raise

    async def wait_idle(self, timeout_s: float) -> bool:
        """Waits until nothing is running; returns whether that came true in time."""
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def _adopt(self, task: asyncio.Task[Any]) -> None:
        """Counts a write whose caller has gone, until it ends."""

        def ended(task: asyncio.Task[Any]) -> None:
            self._change(-1)
            if not task.cancelled() and task.exception() is not None:
                log.warning("a write failed after its caller had gone", error=repr(task.exception()))

        self._change(+1)
        task.add_done_callback(ended)

    def _change(self, by: int) -> None:
        self._count += by
        self._on_change(self._count)
        if self._count:
            self._idle.clear()
        else:
            self._idle.set()


async def _bounded(work: Awaitable[Any], limit_s: float) -> Any:
    async with asyncio.timeout(limit_s):
        return await work


class OpenStreams:
    """The streams that are open, with a limit of their own: they last, so they must not use up the room of calls."""

    def __init__(self, limit: int, on_change: Callable[[int], None] = lambda _count: None) -> None:
        self._limit = limit
        self._on_change = on_change
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ending = False

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Counts the current task as a stream. Raises Overloaded beyond the limit, Unavailable when streams are being ended."""
        task = asyncio.current_task()
        assert task is not None
        if len(self._tasks) >= self._limit:
            raise Overloaded
        self._tasks.add(task)
        self._on_change(len(self._tasks))
        try:
            yield
        except asyncio.CancelledError:
            if not self._ending:
                raise
            task.uncancel()
            raise Unavailable("the server is going away: resume", retry_after_s=0.1) from None
        finally:
            self._tasks.discard(task)
            self._on_change(len(self._tasks))

    def end(self) -> None:
        """Ends all streams."""
        self._ending = True
        for task in self._tasks:
            task.cancel()
