"""Counts the work that is running, so that it can be limited, and awaited before what it needs is closed.

gRPC's own `stop` returns before handlers have ended (grpc/grpc#37239), and a write goes on when its caller is gone.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterator
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
        self._writes: set[_Write] = set()
        # One timer for all writes: one for each is a good part of what a write costs here.
        self._alarm: asyncio.Handle | None = None
        self._alarm_at = math.inf

    @property
    def count(self) -> int:
        return self._count

    def __enter__(self) -> None:
        if self._count >= self._limit:
            raise Overloaded
        self._change(+1)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._change(-1)

    async def run_to_end(self, work: Coroutine[Any, Any, Any], limit_s: float) -> Any:
        """Awaits `work`, which goes on if the caller is cancelled: a write must not be left half-known.

        Raises TimeoutError if it had to be ended after `limit_s`.
        """
        write = _Write(work, limit_s, self._writes.discard)
        self._writes.add(write)  # the loop itself keeps weak references to tasks only
        if write.stop_at < self._alarm_at:
            self._set_alarm(write.stop_at)
        try:
            await write.ended
        except asyncio.CancelledError:
            self._adopt(write)
            raise
        return write.result()

    async def wait_idle(self, timeout_s: float) -> bool:
        """Waits until nothing is running; returns whether that came true in time."""
        try:
            await asyncio.wait_for(self._idle.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    def _set_alarm(self, when: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = when
        self._alarm = asyncio.get_running_loop().call_at(when, self._stop_overdue)

    def _stop_overdue(self) -> None:
        now = asyncio.get_running_loop().time()
        for write in self._writes:
            if write.stop_at <= now:
                write.stop()
        self._alarm, self._alarm_at = None, math.inf
        later = min((write.stop_at for write in self._writes if write.stop_at > now), default=None)
        if later is not None:
            self._set_alarm(later)

    def _adopt(self, write: _Write) -> None:
        """Counts a write whose caller has gone, until it ends."""

        def ended(_task: asyncio.Task[Any]) -> None:
            self._change(-1)
            if error := write.error():
                log.warning("a write failed after its caller had gone", error=repr(error))

        self._change(+1)
        write.task.add_done_callback(ended)

    def _change(self, by: int) -> None:
        self._count += by
        self._on_change(self._count)
        if self._count:
            self._idle.clear()
        else:
            self._idle.set()


class _Write:
    """A write that runs as a task of its own until `stop_at` at the latest; its caller awaits `ended`, which bears being cancelled.

    (`asyncio.shield` around `asyncio.timeout` does the same for twice the price, and every write pays it.)
    """

    def __init__(self, work: Coroutine[Any, Any, Any], limit_s: float, forget: Callable[[_Write], None]) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.task = loop.create_task(work)
        self.task.add_done_callback(self._end)
        self.stop_at = loop.time() + limit_s
        self._stopped = False
        self._forget = forget

    def result(self) -> Any:
        """Returns what the write returned; raises what it raised, TimeoutError if it was stopped by its limit."""
        if self._stopped and self.task.cancelled():
            raise TimeoutError
        return self.task.result()

    def error(self) -> BaseException | None:
        """Returns what `result` would raise; None for a write that the end of the loop has cancelled."""
        if self.task.cancelled():
            return TimeoutError() if self._stopped else None
        return self.task.exception()

    def stop(self) -> None:
        """Ends it: its time is over. Once, because it may need time to clean up."""
        if not self._stopped:
            self._stopped = True
            self.task.cancel()

    def _end(self, _task: asyncio.Task[Any]) -> None:
        self._forget(self)
        if not self.ended.done():
            self.ended.set_result(None)


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
