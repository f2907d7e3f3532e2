"""Turns concurrent single calls into batches, so that many callers share one round trip and one commit.

idle            a call is sent at once
under load      one batch is in flight, and the calls that come meanwhile are the next one. A batch that was not alone is followed
                by a short pause in which its callers come back; without it the batches never grow. The pause goes on while the
                process is too busy to let them come: then it is the CPU that they wait for, and larger batches need less of it
a batch fails   its calls run again one by one, beside the batches that follow, so that only the culprit gets the error
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextvars import Context
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

import structlog

from shared.errors import DeadlineExceeded, Overloaded, Unavailable

log = structlog.get_logger()

Item = TypeVar("Item")
Result = TypeVar("Result")

# If all who call at once were in one batch, nothing would be left to compute while it is in the database.
SIZE_MAX = 64
# The pause before a batch is repeated, at most so often in all, while the loop's thread computes for more than this share of it.
GATHER_TIMES_MAX = 4
BUSY_SHARE = 0.5


class BatchTimedOut(Unavailable):
    """The batch took too long and was ended. Whether it happened is unknown."""

    def __init__(self) -> None:
        super().__init__("the batch took too long")


class BatchObserver(Protocol):
    """Measures a coalescer."""

    def watch(self, waiting: Callable[[], int]) -> None:
        """Is given, once, a way to ask how many calls wait to be sent."""

    def sent(self, size: int) -> None:
        """Counts a batch."""


@dataclass(slots=True, eq=False)
class _Call(Generic[Item, Result]):
    """An item whose caller waits for `reply`."""

    item: Item
    reply: asyncio.Future[Result]
    deadline: float | None

    def is_wanted(self, now: float) -> bool:
        """Tells whether to send it: its caller is still there, and has time left."""
        if self.deadline is not None and self.deadline <= now:
            self.fail(DeadlineExceeded())
        return not self.reply.done()

    def answer(self, result: Result) -> None:
        if not self.reply.done():
            self.reply.set_result(result)

    def fail(self, error: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(error)
            self.reply.exception()  # marks it as seen: a caller who leaves at this very moment will not look


class Coalescer(Generic[Item, Result]):
    """Sends items in batches of at most `size_max`, one batch at a time and in order of arrival. Use it as `async with`.

    `run_batch` returns a result for each item, in the same order, once they are carried out for good; if it raises, they are not, or it
    bears being given them again. It is ended after `timeout_s`. `is_outage` tells errors that would befall each item alone as well:
    then all calls of the batch fail with it and nothing is run again. `gather_s` is the longest pause before a batch, `GATHER_TIMES_MAX`
    times as much while this thread is busy, which `cpu` tells: the seconds that it has computed.
    """

    def __init__(
        self,
        run_batch: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        size_max: int = SIZE_MAX,
        waiting_max: int = 1024,
        timeout_s: float = 2.0,
        gather_s: float = 0.005,
        is_outage: Callable[[Exception], bool] = lambda _error: False,
        observer: BatchObserver | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self._run_batch = run_batch
        self._size_max = size_max
        self._waiting_max = waiting_max
        self._timeout_s = timeout_s
        self._gather_s = gather_s
        self._is_outage = is_outage
        self._observer = observer
        self._monotonic = monotonic
        self._cpu = cpu
        self._queue: deque[_Call[Item, Result]] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._pause: asyncio.Future[None] | None = None
        self._expected = 0
        # Calls of failed batches, each with what the batch failed of and the latest time to begin it again.
        self._failed: deque[tuple[_Call[Item, Result], Exception, float]] = deque()
        self._apart_worker: asyncio.Task[None] | None = None
        self._closed = False
        if observer is not None:
            observer.watch(lambda: self.waiting)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()

    @property
    def waiting(self) -> int:
        """How many calls wait to be sent, for the first time or again."""
        return len(self._queue) + len(self._failed)

    async def submit(self, item: Item, *, deadline: float | None = None) -> Result:
        """Returns the item's result once its batch is done. `deadline` (of the monotonic clock) is the latest time to be sent at.

        A caller who is cancelled takes back an item that was not sent yet; one that was is carried out.
        Raises Overloaded, DeadlineExceeded, Unavailable (closed), BatchTimedOut, and what `run_batch` raises for this item.
        """
        if self._closed:
            raise Unavailable("the service is stopping")
        if len(self._queue) + len(self._failed) >= self._waiting_max:
            raise Overloaded
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Result] = loop.create_future()
        self._queue.append(_Call(item, reply, deadline))
        if self._worker is None:
            self._worker = loop.create_task(self._work(), context=Context())  # a batch belongs to no single caller's trace
        elif self._pause is not None and len(self._queue) >= self._expected:
            self._end_pause()
        return await reply

    async def aclose(self) -> None:
        """Takes no more items; returns when all that were taken have their outcome."""
        self._closed = True
        self._end_pause()
        while tasks := [task for task in (self._worker, self._apart_worker) if task]:
            await asyncio.wait(tasks)

    async def _work(self) -> None:
        """Sends batches until nothing waits."""
        try:
            while self._queue:
                batch = self._next_batch()
                if batch:
                    await self._send(batch)
                if len(batch) > 1:
                    await self._gather(len(batch))
        finally:
            self._worker = None
            _abandon(self._queue)
            self._queue.clear()

    def _next_batch(self) -> list[_Call[Item, Result]]:
        batch: list[_Call[Item, Result]] = []
        now = self._monotonic()
        while self._queue and len(batch) < self._size_max:
            call = self._queue.popleft()
            if call.is_wanted(now):
                batch.append(call)
        return batch

    async def _gather(self, returning: int) -> None:
        """Waits until all who were here before the last batch are back, a batch is full, or the time for it is over."""
        self._expected = min(self._size_max, returning + len(self._queue))
        for _ in range(GATHER_TIMES_MAX):
            if self._closed or len(self._queue) >= self._expected:
                return
            began, computed = self._monotonic(), self._cpu()
            await self._wait_for_calls()
            if self._cpu() - computed < BUSY_SHARE * (self._monotonic() - began):
                return

    async def _wait_for_calls(self) -> None:
        """Waits `gather_s`, or until those who are expected are there."""
        loop = asyncio.get_running_loop()
        self._pause = loop.create_future()
        timer = loop.call_later(self._gather_s, self._end_pause)
        try:
            await self._pause
        finally:
            timer.cancel()
            self._pause = None

    def _end_pause(self) -> None:
        if self._pause is not None and not self._pause.done():
            self._pause.set_result(None)

    async def _send(self, batch: list[_Call[Item, Result]]) -> None:
        error = await self._attempt(batch)
        if error is None:
            return
        if len(batch) == 1 or self._befalls_all(error):
            _fail(batch, error)
            return
        log.warning("a batch failed: its calls run again one by one", size=len(batch), error=repr(error))
        until = self._monotonic() + self._timeout_s
        self._failed.extend((call, error, until) for call in batch)
        if self._apart_worker is None:
            self._apart_worker = asyncio.create_task(self._work_apart())

    async def _work_apart(self) -> None:
        """Runs the calls of failed batches one by one; those not begun within `timeout_s` of the failure end like their batch did."""
        try:
            while self._failed:
                call, cause, until = self._failed.popleft()
                now = self._monotonic()
                if not call.is_wanted(now):
                    continue
                error = await self._attempt([call]) if now < until else cause
                if error is not None:
                    call.fail(error)
                    if self._befalls_all(error):
                        _fail([call for call, _, _ in self._failed], error)
        finally:
            self._apart_worker = None
            _abandon([call for call, _, _ in self._failed])
            self._failed.clear()

    def _befalls_all(self, error: Exception) -> bool:
        return isinstance(error, BatchTimedOut) or self._is_outage(error)

    async def _attempt(self, batch: Sequence[_Call[Item, Result]]) -> Exception | None:
        """Runs the batch and answers its callers; returns what it failed with, if it did."""
        limit = asyncio.timeout(self._timeout_s)
        if self._observer is not None:
            self._observer.sent(len(batch))
        try:
            async with limit:
                results = await self._run_batch([call.item for call in batch])
            for call, result in zip(batch, results, strict=True):
                call.answer(result)
        except Exception as error:  # noqa: BLE001  whatever it is, it is the callers' answer
            return BatchTimedOut() if limit.expired() else error
        except asyncio.CancelledError:
            _abandon(batch)
            raise
        return None


def _fail(calls: Iterable[_Call[Item, Result]], error: Exception) -> None:
    for call in calls:
        call.fail(error)


def _abandon(calls: Iterable[_Call[Item, Result]]) -> None:
    """Leaves nobody waiting when the loop ends in the midst of work."""
    for call in calls:
        call.reply.cancel()
