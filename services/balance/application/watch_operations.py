"""Operations as they come: one poller for all who watch.

Whoever watches waits at a place; the poller reads what follows all the places at once and hands it out. Those who have caught up wait at
the same place, so the stream is read once for them all. Nothing queues up for a slow watcher: it isn't waiting, so nothing is read for
it, and while it writes to its caller it holds no connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import structlog

from services.balance.application.history_ports import Heard, OperationStream, Place
from services.balance.domain.model import Operation
from services.balance.domain.names import AccountName
from shared.errors import Unavailable
from shared.tasks import going_on

log = structlog.get_logger()

READ_LIMIT_S = 10.0
WATCH_LIMIT_S = 3600.0


@dataclass(frozen=True, slots=True)
class Told:
    """What a watcher is told: an operation and its number, or no operation and the number reached, None while there is no beginning yet."""

    operation: Operation | None
    number: int | None


@dataclass(eq=False, slots=True)
class _Waiting:
    """A watcher that waits at a place; `in_a_hurry` if there is likely something for it."""

    place: Place
    in_a_hurry: bool
    heard: asyncio.Future[Heard] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class WatchOperations:
    """`poll_every_s` is how late news may be, `heartbeat_s` how long a watcher hears nothing at most; `run` must be running."""

    def __init__(self, stream: OperationStream, *, poll_every_s: float, heartbeat_s: float, limit_s: float = WATCH_LIMIT_S) -> None:
        self._stream = stream
        self._poll_every_s = poll_every_s
        self._heartbeat_s = heartbeat_s
        self._limit_s = limit_s
        self._waiting: set[_Waiting] = set()
        self._somebody_waits = asyncio.Event()
        self._hurry = asyncio.Event()

    async def watch(self, scope: AccountName, after: int | None) -> AsyncGenerator[Told, None]:
        """Yields the operations of an account, or of every account of a programme, that follow the number `after`.

        None means from now on: nothing that was recorded before the call, all that is recorded after the first number was told, which is
        where the watch begins. Ends after `limit_s`.

        Raises Unavailable, or what the database raises, if it can't be read; the watch may then go on after the last number.
        """
        clock = asyncio.get_running_loop().time
        ends_at, beat_at, hurry = clock() + self._limit_s, clock() + self._heartbeat_s, True
        place = Place(scope, after)
        if after is not None:
            yield Told(None, after)
        while clock() < ends_at:
            heard = await self._hear(place, min(beat_at, ends_at) - clock(), hurry)
            hurry = heard is not None and (heard.more or place.after is None)
            if heard is not None:
                for number, operation in heard.operations:
                    yield Told(operation, number)
                if heard.operations:
                    beat_at = clock() + self._heartbeat_s
                elif place.is_beginning:
                    beat_at = clock()
                place = Place(scope, heard.after, is_beginning=place.after is None)
            if clock() >= beat_at:
                yield Told(None, None if place.is_beginning else place.after)
                beat_at = clock() + self._heartbeat_s

    async def _hear(self, place: Place, limit_s: float, hurry: bool) -> Heard | None:
        """Waits until something follows the place; None if nothing did in time."""
        waiting = _Waiting(place, hurry)
        self._waiting.add(waiting)
        self._somebody_waits.set()
        if hurry:
            self._hurry.set()
        try:
            async with asyncio.timeout(limit_s):
                return await waiting.heard
        except TimeoutError:
            return None
        finally:
            self._waiting.discard(waiting)

    async def run(self) -> None:
        """Polls, as long as somebody watches: all in turn, and in between those who are in a hurry."""
        clock = asyncio.get_running_loop().time
        turn_at = clock()
        while going_on():
            await self._somebody_waits.wait()
            self._hurry.clear()
            if clock() >= turn_at:
                turn_at = clock() + self._poll_every_s
                await self._serve(set(self._waiting))
            else:
                await self._serve({waiting for waiting in self._waiting if waiting.in_a_hurry})
            if not self._waiting:
                self._somebody_waits.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(turn_at - clock()):
                    await self._hurry.wait()

    async def _serve(self, served: set[_Waiting]) -> None:
        try:
            async with asyncio.timeout(READ_LIMIT_S):
                found = await self._stream.read({waiting.place for waiting in served}) if served else {}
        except Exception as error:  # noqa: BLE001  the poller goes on, those who wait are told
            log.warning("operations could not be read for those who watch", error=repr(error), watching=len(served))
            for waiting in served:
                _fail(waiting, Unavailable("the stream can't be read: resume") if isinstance(error, TimeoutError) else error)
            return
        for waiting in served:
            heard = found.get(waiting.place)
            waiting.in_a_hurry = False
            if heard is not None and _is_news(waiting.place, heard) and not waiting.heard.done():
                waiting.heard.set_result(heard)


def _is_news(place: Place, heard: Heard) -> bool:
    return place.is_beginning or heard.after != place.after


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.heard.done():
        waiting.heard.set_exception(error)
