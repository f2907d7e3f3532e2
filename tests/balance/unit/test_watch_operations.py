"""One poller for all who watch: who shares its looks, who is told what, and what happens when it can't see."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime

import pytest

from services.balance.application.history_ports import Heard, Place
from services.balance.application.watch_operations import Told, WatchOperations
from services.balance.domain.model import Operation
from services.balance.domain.names import AccountName
from shared.errors import Unavailable
from tests.balance.histories import Event, new_account, operations_of

ALL = AccountName("main", "-")


class FakeStream:
    """A stream of one account, kept in memory. `part` is how much one look tells of a place."""

    def __init__(self, part: int = 2) -> None:
        self.name = new_account()
        self.looks: list[Collection[Place]] = []
        self.failing: Exception | None = None
        self.known = True
        self._part = part
        self._operations: list[Operation] = []

    def record(self, count: int) -> None:
        events = [Event(datetime(2024, 1, 1, tzinfo=UTC))] * (len(self._operations) + count)
        self._operations = list(operations_of(self.name, events))

    async def read(self, places: Collection[Place]) -> Mapping[Place, Heard]:
        self.looks.append(places)
        await asyncio.sleep(0)
        if self.failing:
            raise self.failing
        return {place: self._heard(place) for place in places if self.known or not place.is_beginning}

    def _heard(self, place: Place) -> Heard:
        if place.after is None or place.is_beginning:
            return Heard((), len(self._operations) if place.after is None else place.after, False)
        told = [(operation.version, operation) for operation in self._operations[place.after : place.after + self._part]]
        return Heard(told, place.after + len(told), len(told) == self._part)


@asynccontextmanager
async def running(stream: FakeStream, **timings: float) -> AsyncIterator[WatchOperations]:
    watch = WatchOperations(stream, **{"poll_every_s": 0.01, "heartbeat_s": 0.05, "limit_s": 60.0, **timings})
    poller = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        poller.cancel()


async def told(watch: WatchOperations, count: int, after: int | None) -> list[Told]:
    """Returns the first things that a watcher of everybody is told."""
    found = []
    async with aclosing(watch.watch(ALL, after)) as watched:
        async for one in watched:
            found.append(one)
            if len(found) == count:
                break
    return found


def numbers(found: list[Told]) -> list[tuple[bool, int | None]]:
    return [(one.operation is not None, one.number) for one in found]


async def test_a_watch_begins_by_telling_its_place_and_beats_while_there_is_nothing_to_tell() -> None:
    stream = FakeStream()
    stream.record(3)
    async with running(stream) as watch:
        assert numbers(await told(watch, 3, None)) == [(False, 3)] * 3
    async with running(stream, heartbeat_s=30.0) as watch:
        assert numbers(await told(watch, 3, 1)) == [(False, 1), (True, 2), (True, 3)]


async def test_while_no_beginning_is_known_a_watch_beats_without_a_number() -> None:
    stream = FakeStream()
    stream.known = False
    async with running(stream) as watch:
        assert numbers(await told(watch, 2, None)) == [(False, None)] * 2


async def test_everything_missed_is_told_before_the_next_turn() -> None:
    stream = FakeStream(part=2)
    stream.record(21)
    async with running(stream, poll_every_s=30.0, heartbeat_s=30.0) as watch:
        found = await asyncio.wait_for(told(watch, 22, 0), 5)

    assert numbers(found)[1:] == [(True, number) for number in range(1, 22)]


async def test_those_who_have_caught_up_are_served_by_one_look() -> None:
    stream = FakeStream(part=100)
    async with running(stream, heartbeat_s=30.0) as watch:
        watchers = [asyncio.create_task(told(watch, 4, 0)) for _ in range(50)]
        await asyncio.sleep(0.03)
        looks = len(stream.looks)
        stream.record(3)
        found = await asyncio.gather(*watchers)
        taken = len(stream.looks) - looks

    assert {tuple(numbers(one)) for one in found} == {((False, 0), (True, 1), (True, 2), (True, 3))}
    assert all(len(places) <= 1 for places in stream.looks)
    assert taken <= 5


async def test_nothing_is_looked_for_while_nobody_watches_and_nothing_for_a_watcher_who_is_busy() -> None:
    stream = FakeStream(part=1)
    stream.record(2)
    async with running(stream, heartbeat_s=30.0) as watch:
        await asyncio.sleep(0.05)
        assert stream.looks == []
        async with aclosing(watch.watch(ALL, 0)) as watched:
            assert [(await anext(watched)).number for _ in range(2)] == [0, 1]
            looks = len(stream.looks)
            await asyncio.sleep(0.05)
            assert len(stream.looks) <= looks + 1
        looks = len(stream.looks)
        await asyncio.sleep(0.05)
        assert len(stream.looks) <= looks + 1


async def test_a_watch_ends_after_its_time() -> None:
    stream = FakeStream()
    async with running(stream, limit_s=0.12) as watch:
        found = [one async for one in watch.watch(ALL, None)]

    assert 1 <= len(found) <= 4


@pytest.mark.parametrize(("failure", "seen"), [(ConnectionError("gone"), ConnectionError), (TimeoutError(), Unavailable)])
async def test_a_look_that_fails_fails_those_who_wait_and_the_next_one_sees_again(failure: Exception, seen: type[Exception]) -> None:
    stream = FakeStream()
    async with running(stream, heartbeat_s=30.0) as watch:
        stream.failing = failure
        with pytest.raises(seen):
            await told(watch, 3, 0)

        stream.failing = None
        stream.record(1)
        assert numbers(await told(watch, 2, 0)) == [(False, 0), (True, 1)]


async def test_a_watcher_who_leaves_disturbs_nobody() -> None:
    stream = FakeStream()
    async with running(stream, heartbeat_s=30.0) as watch:
        leaving, staying = (asyncio.create_task(told(watch, 2, 0)) for _ in range(2))
        await asyncio.sleep(0.02)
        leaving.cancel()
        await asyncio.sleep(0.02)
        stream.record(1)

        assert numbers(await staying) == [(False, 0), (True, 1)]
