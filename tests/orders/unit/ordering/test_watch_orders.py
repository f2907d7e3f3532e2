"""One poller for all who watch: who shares its looks, who is told what, and what happens when it can't see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import pytest

from services.orders.application.ordering import watch_orders
from services.orders.application.ordering.feed_ports import EVERYTHING, FedEvent, FeedPart, FeedScope
from services.orders.application.ordering.watch_orders import Told, WatchOrders
from services.orders.domain.ordering.model import SYSTEM, EventKind, OrderEvent, State
from shared.errors import Unavailable

ODD = FeedScope(customer_id="1")
EVENT = OrderEvent(UUID(int=1), 1, EventKind.UPDATED, State.PAID, State.PAID, SYSTEM, "", {}, datetime(2024, 1, 1, tzinfo=UTC))


class FakeFeed:
    """A feed kept in memory: the event at position n is of customer n % 2. `part` is how much one look tells."""

    def __init__(self, part: int = 3) -> None:
        self.last = 0
        self.looks = 0
        self.failing: Exception | None = None
        self._part = part

    async def end(self) -> int:
        # As it is when it is asked, however late the answer comes.
        last = self.last
        await self._look()
        return last

    async def read(self, scope: FeedScope, after: int) -> FeedPart:
        await self._look()
        passed = range(after + 1, min(self.last, after + self._part) + 1)
        events = [FedEvent(position, str(position % 2), "main", "1", EVENT) for position in passed]
        return FeedPart([fed for fed in events if scope.covers(fed)], passed[-1] if passed else after)

    async def _look(self) -> None:
        self.looks += 1
        await asyncio.sleep(0)
        if self.failing:
            raise self.failing


@asynccontextmanager
async def running(feed: FakeFeed, polled: FakeFeed | None = None, **timings: float) -> AsyncIterator[WatchOrders]:
    watch = WatchOrders(feed, polled=polled or feed, **{"poll_every_s": 0.01, "heartbeat_s": 0.05, "limit_s": 60.0, **timings})
    poller = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        poller.cancel()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110  what is waited for is a fake that knows nobody
            await asyncio.sleep(0.001)


async def told(watch: WatchOrders, count: int, after: int | None, scope: FeedScope = EVERYTHING) -> list[tuple[bool, int]]:
    """Returns the first things that a watcher is told: whether it is an event, and the position."""
    found: list[Told] = []
    async with aclosing(watch.watch(scope, after)) as watched:
        async for one in watched:
            found.append(one)
            if len(found) == count:
                break
    return [(one.fed is not None, one.position) for one in found]


async def test_a_watch_begins_with_its_place_and_beats_while_nothing_happens() -> None:
    feed = FakeFeed()
    feed.last = 7
    async with running(feed) as watch:
        assert await asyncio.wait_for(told(watch, 3, None), 5) == [(False, 7)] * 3


async def test_what_was_missed_is_told_first_then_what_happens() -> None:
    feed = FakeFeed(part=3)
    feed.last = 10
    async with running(feed, heartbeat_s=30.0) as watch:
        watcher = asyncio.create_task(told(watch, 14, 0))
        await until(lambda: feed.looks > 6)
        feed.last = 13
        assert await asyncio.wait_for(watcher, 5) == [(False, 0), *((True, position) for position in range(1, 14))]


async def test_a_scope_is_told_of_nothing_else_and_its_place_moves_on() -> None:
    feed = FakeFeed()
    async with running(feed) as watch, aclosing(watch.watch(ODD, None)) as watched, asyncio.timeout(5):
        found = [await anext(watched)]
        feed.last = 4
        while found[-1].position < 4:
            found.append(await anext(watched))

    assert [one.position for one in found if one.fed] == [1, 3]
    assert found[-1].fed is None


async def test_those_who_have_caught_up_are_served_by_one_look() -> None:
    behind, polled = FakeFeed(), FakeFeed(part=100)
    async with running(behind, polled, heartbeat_s=30.0) as watch:
        watchers = [asyncio.create_task(told(watch, 4, None)) for _ in range(50)]
        await until(lambda: behind.looks == 50 and polled.looks >= 2)
        behind.last = polled.last = 3
        found = await asyncio.wait_for(asyncio.gather(*watchers), 5)

    assert found == [[(False, 0), (True, 1), (True, 2), (True, 3)]] * 50
    assert behind.looks == 50


async def test_a_slow_watcher_reads_what_the_poller_no_longer_has_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_orders, "RECENT", 2)
    feed = FakeFeed(part=4)
    async with running(feed, heartbeat_s=30.0) as watch, aclosing(watch.watch(EVERYTHING, None)) as watched:
        assert (await anext(watched)).position == 0
        feed.last = 1
        positions = [(await anext(watched)).position]
        feed.last, looks = 20, feed.looks
        await until(lambda: feed.looks > looks + 6)
        positions += [(await asyncio.wait_for(anext(watched), 5)).position for _ in range(19)]

    assert positions == list(range(1, 21))


async def test_nothing_is_looked_for_while_nobody_watches() -> None:
    feed = FakeFeed()
    async with running(feed) as watch:
        await asyncio.sleep(0.05)
        assert feed.looks == 0
        await told(watch, 1, None)
        looks = feed.looks
        await asyncio.sleep(0.05)
        assert feed.looks <= looks + 1

        feed.last = 2
        assert await asyncio.wait_for(told(watch, 3, 0), 5) == [(False, 0), (True, 1), (True, 2)]


async def test_a_watch_ends_after_its_time() -> None:
    async with running(FakeFeed(), limit_s=0.12) as watch:
        found = [one async for one in watch.watch(EVERYTHING, None)]

    assert 1 <= len(found) <= 4


@pytest.mark.parametrize(("failure", "seen"), [(ConnectionError("gone"), ConnectionError), (TimeoutError(), Unavailable)])
async def test_a_look_that_fails_fails_those_who_wait_and_the_next_one_sees_again(failure: Exception, seen: type[Exception]) -> None:
    feed, polled = FakeFeed(), FakeFeed()
    async with running(feed, polled, heartbeat_s=30.0) as watch:
        watcher = asyncio.create_task(told(watch, 3, 0))
        await until(lambda: polled.looks >= 2)
        polled.failing = failure
        with pytest.raises(seen):
            await asyncio.wait_for(watcher, 5)

        polled.failing = None
        feed.last = polled.last = 1
        assert await asyncio.wait_for(told(watch, 2, 0), 5) == [(False, 0), (True, 1)]
