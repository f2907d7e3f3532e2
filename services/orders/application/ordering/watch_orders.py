"""Events as they come: one poller for all who watch.

The poller reads the end of the feed once for all of them and keeps the latest events. Who comes with an old token, or was slow, reads what
is missing by itself, then goes on with the others. Nothing queues up for a slow watcher, and while it writes it holds no connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

import structlog

from services.orders.application.ordering.feed_ports import EVERYTHING, FedEvent, Feed, FeedPart, FeedScope
from shared.errors import Unavailable
from shared.tasks import going_on

log = structlog.get_logger()

WATCH_LIMIT_S = 3600.0
READ_LIMIT_S = 10.0
# Those who are behind share so many connections.
READERS = 2
RECENT = 1_000


@dataclass(frozen=True, slots=True)
class Told:
    """What a watcher is told: an event, or none, and the position to go on after."""

    fed: FedEvent | None
    position: int


class WatchOrders:
    """`poll_every_s` is how late news may be, `heartbeat_s` how long a watcher hears nothing at most; `run` must be running.

    The poller reads the feed as `polled`, those who are behind as `feed`.
    """

    def __init__(self, feed: Feed, *, polled: Feed, poll_every_s: float, heartbeat_s: float, limit_s: float = WATCH_LIMIT_S) -> None:
        self._feed = feed
        self._polled = polled
        self._poll_every_s = poll_every_s
        self._heartbeat_s = heartbeat_s
        self._limit_s = limit_s
        self._latest = _Latest()
        self._readers = asyncio.Semaphore(READERS)
        self._watching = 0
        self._somebody_watches = asyncio.Event()

    async def watch(self, scope: FeedScope, after: int | None) -> AsyncGenerator[Told, None]:
        """Yields first where the watch begins, then the events of the scope that follow the position `after`, and positions between them.

        None means from now on: all that is recorded after the first message. Ends after `limit_s`.

        Raises ResumeTokenTooOld; Unavailable, or what the database raises, if the feed can't be read: the watch may then be resumed.
        """
        self._watching += 1
        self._somebody_watches.set()
        try:
            part = FeedPart((), await self._end()) if after is None else await self._read(scope, after)
            yield Told(None, part.reached if after is None else after)
            async with aclosing(self._told(scope, part)) as following:
                async for told in following:
                    yield told
        finally:
            self._watching -= 1

    async def run(self) -> None:
        """Polls, as long as somebody watches. Runs until cancelled; outlives failures of the database."""
        while going_on():
            if not self._watching:
                self._latest.forget()
                self._somebody_watches.clear()
                await self._somebody_watches.wait()
            if not await self._poll():
                await asyncio.sleep(self._poll_every_s)

    async def _told(self, scope: FeedScope, part: FeedPart) -> AsyncGenerator[Told, None]:
        clock = asyncio.get_running_loop().time
        ends_at, beat_at = clock() + self._limit_s, clock() + self._heartbeat_s
        while clock() < ends_at:
            for fed in part.events:
                yield Told(fed, fed.position)
            if part.events:
                beat_at = clock() + self._heartbeat_s
            elif clock() >= beat_at:
                yield Told(None, part.reached)
                beat_at = clock() + self._heartbeat_s
            part = await self._next(scope, part.reached, min(beat_at, ends_at) - clock())

    async def _next(self, scope: FeedScope, after: int, limit_s: float) -> FeedPart:
        """Returns what follows the position, nothing if there was no news in time."""
        news = self._latest.news()
        if self._latest.is_missing(after):
            return await self._read(scope, after)
        part = self._latest.following(scope, after)
        if part.reached == after and limit_s > 0:
            await asyncio.wait([news], timeout=limit_s)
            if news.done():
                news.result()
        return part

    async def _poll(self) -> bool:
        """Reads the end of the feed; returns whether there is more."""
        try:
            async with asyncio.timeout(READ_LIMIT_S):
                if self._latest.reached is None:
                    self._latest.begin(await self._polled.end())
                    return False
                part = await self._polled.read(EVERYTHING, self._latest.reached)
        except Exception as error:  # noqa: BLE001  the poller goes on, those who wait are told
            log.warning("the feed could not be read for those who watch", error=repr(error), watching=self._watching)
            self._latest.fail(Unavailable("the feed can't be read: resume") if isinstance(error, TimeoutError) else error)
            return False
        self._latest.append(part)
        return bool(part.events)

    async def _end(self) -> int:
        async with self._readers:
            return await self._feed.end()

    async def _read(self, scope: FeedScope, after: int) -> FeedPart:
        async with self._readers:
            return await self._feed.read(scope, after)


class _Latest:
    """The latest events: all that follow one position, up to another."""

    def __init__(self) -> None:
        self.reached: int | None = None
        self._after = 0
        self._events: deque[FedEvent] = deque()
        self._news: asyncio.Future[None] | None = None

    def news(self) -> asyncio.Future[None]:
        """Returns what is done when there is more, and fails when it can't be known."""
        if self._news is None:
            self._news = asyncio.get_running_loop().create_future()
        return self._news

    def is_missing(self, after: int) -> bool:
        """Tells whether something that follows the position may be no longer here."""
        return self.reached is not None and after < self._after

    def following(self, scope: FeedScope, after: int) -> FeedPart:
        """Returns all that follows a position after which nothing is missing."""
        newer: deque[FedEvent] = deque()
        for fed in reversed(self._events):
            if fed.position <= after:
                break
            if scope.covers(fed):
                newer.appendleft(fed)
        return FeedPart(newer, max(after, self.reached or 0))

    def begin(self, position: int) -> None:
        self._after = self.reached = position
        self._tell()

    def append(self, part: FeedPart) -> None:
        if part.reached == self.reached:
            return
        self._events.extend(part.events)
        self.reached = part.reached
        while len(self._events) > RECENT:
            self._after = self._events.popleft().position
        self._tell()

    def forget(self) -> None:
        self._events.clear()
        self.reached = None

    def fail(self, error: Exception) -> None:
        self.forget()
        news, self._news = self._news, None
        if news is not None:
            news.set_exception(error)
            news.exception()  # seen, even if nobody waits

    def _tell(self) -> None:
        news, self._news = self._news, None
        if news is not None:
            news.set_result(None)
