"""Batches of concurrent calls. Nothing here waits for time to pass: the fake ledger answers when it is told to, the clock stands still.

Where a pause would be wrong it is an hour long, so that a test which needs it fails by its time limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from itertools import count
from typing import Any, TypeVar

import pytest
from prometheus_client import CollectorRegistry

from shared.coalescer import GATHER_TIMES_MAX, BatchTimedOut, Coalescer
from shared.errors import DeadlineExceeded, Overloaded, Unavailable
from shared.observability.metrics import BatchMetrics

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


async def test_an_idle_coalescer_sends_a_call_at_once_each_time() -> None:
    ledger = Ledger()
    async with Coalescer(ledger.run, gather_s=AN_HOUR_S) as coalescer:
        assert [await coalescer.submit(item) for item in (1, 2, 3)] == [2, 4, 6]

    assert ledger.batches == [[1], [2], [3]]


async def test_calls_that_come_while_a_batch_is_in_flight_are_the_next_batch_in_order_of_arrival() -> None:
    ledger = Ledger()
    async with Coalescer(ledger.run) as coalescer:
        calls = await held(ledger, coalescer, 3, 1, 2)
        ledger.release(2)
        assert await outcomes(calls) == [0, 6, 2, 4]

    assert ledger.batches == [[0], [3, 1, 2]]
    assert ledger.running_most == 1


async def test_a_caller_gets_the_answer_only_after_the_batch_has_returned() -> None:
    ledger = Ledger()
    async with Coalescer(ledger.run) as coalescer:
        (call,) = await held(ledger, coalescer)
        assert not call.done()
        ledger.release()
        assert await call == 0


async def test_a_batch_is_never_larger_than_the_limit() -> None:
    ledger = Ledger()
    async with Coalescer(ledger.run, size_max=2) as coalescer:
        calls = await held(ledger, coalescer, 1, 2, 3, 4, 5)
        ledger.release(4)
        await outcomes(calls)

    assert ledger.batches == [[0], [1, 2], [3, 4], [5]]


async def test_the_next_batch_waits_for_the_callers_of_the_last_one_to_come_back() -> None:
    ledger = Ledger()

    async def client(item: int, coalescer: Coalescer[int, int]) -> None:
        for _ in range(3):
            await coalescer.submit(item)
            await turns(item)  # they come back one after the other

    async with Coalescer(ledger.run, gather_s=AN_HOUR_S) as coalescer:
        clients = [start(client(item, coalescer)) for item in range(1, 6)]
        await turns(40)
        assert [len(batch) for batch in ledger.batches] == [5, 5, 5]
        await coalescer.aclose()
        await asyncio.gather(*clients)


async def test_a_pause_ends_when_its_time_is_over_though_callers_stay_away() -> None:
    ledger = Ledger()
    async with Coalescer(ledger.run, gather_s=0.001) as coalescer:
        await asyncio.gather(*(coalescer.submit(item) for item in range(5)))
        assert await coalescer.submit(7) == 14
        assert await coalescer.submit(8) == 16

    assert ledger.batches == [[0, 1, 2, 3, 4], [7], [8]]


@pytest.mark.parametrize(("computed_in_a_pause_s", "pauses"), [(0.0, 1), (0.4, 1), (0.6, GATHER_TIMES_MAX)])
async def test_a_pause_goes_on_while_the_process_is_too_busy_for_callers_to_come(computed_in_a_pause_s: float, pauses: int) -> None:
    readings: list[float] = []
    seconds = count()  # a pause lasts a second

    def cpu() -> float:
        readings.append(len(readings) * computed_in_a_pause_s)
        return readings[-1]

    ledger = Ledger()
    async with Coalescer(ledger.run, gather_s=0.001, monotonic=lambda: float(next(seconds)), cpu=cpu) as coalescer:
        await asyncio.gather(*(coalescer.submit(item) for item in range(5)))
        assert await coalescer.submit(7) == 14

    assert len(readings) == 2 * pauses  # before and after


async def test_a_full_batch_is_sent_without_a_pause() -> None:
    ledger = Ledger()
    async with Coalescer(ledger.run, size_max=3, gather_s=AN_HOUR_S) as coalescer:
        calls = [start(coalescer.submit(item)) for item in range(9)]
        await turns()
        assert [len(batch) for batch in ledger.batches] == [3, 3, 3]
        await outcomes(calls)


async def test_a_caller_who_leaves_before_sending_takes_the_item_back() -> None:
    ledger = Ledger()
    async with Coalescer(ledger.run) as coalescer:
        calls = await held(ledger, coalescer, 1, 2)
        calls[1].cancel()
        ledger.release(2)
        assert kinds(await outcomes(calls)) == [0, asyncio.CancelledError, 4]

    assert ledger.batches == [[0], [2]]


async def test_a_caller_who_leaves_after_sending_disturbs_nobody() -> None:
    ledger = Ledger()
    async with Coalescer(ledger.run) as coalescer:
        calls = await held(ledger, coalescer, 1, 2)
        ledger.release()
        await turns()
        calls[1].cancel()
        await turns()
        assert ledger.running == 1
        ledger.release()
        assert kinds(await outcomes(calls)) == [0, asyncio.CancelledError, 4]

    assert ledger.batches == [[0], [1, 2]]


async def test_an_expired_call_is_not_sent() -> None:
    ledger, now = Ledger(), [100.0]
    async with Coalescer(ledger.run, monotonic=lambda: now[0]) as coalescer:
        (first,) = await held(ledger, coalescer)
        late = start(coalescer.submit(1, deadline=105.0))
        in_time = start(coalescer.submit(2, deadline=105.1))
        await turns()
        now[0] = 105.0
        ledger.release(2)
        assert kinds(await outcomes([first, late, in_time])) == [0, DeadlineExceeded, 4]

    assert ledger.batches == [[0], [2]]


async def test_a_deadline_that_passes_while_the_batch_is_in_flight_changes_nothing() -> None:
    ledger, now = Ledger(), [100.0]
    ledger.hold()
    async with Coalescer(ledger.run, monotonic=lambda: now[0]) as coalescer:
        call = start(coalescer.submit(1, deadline=105.0))
        await turns()
        now[0] = 200.0
        ledger.release()
        assert await call == 2


async def test_one_poisoned_call_fails_alone() -> None:
    ledger = Ledger(poison=[2])
    async with Coalescer(ledger.run) as coalescer:
        calls = [start(coalescer.submit(item)) for item in range(4)]
        assert kinds(await outcomes(calls)) == [0, 2, Poison, 6]

    assert ledger.batches == [[0, 1, 2, 3], [0], [1], [2], [3]]


async def test_a_call_that_failed_alone_is_not_repeated() -> None:
    ledger = Ledger(poison=[2])
    async with Coalescer(ledger.run) as coalescer:
        with pytest.raises(Poison):
            await coalescer.submit(2)

    assert ledger.batches == [[2]]


async def test_calls_that_run_again_do_not_hold_up_the_batches_that_follow() -> None:
    ledger = Ledger(poison=[1])
    async with Coalescer(ledger.run, gather_s=0) as coalescer:
        ledger.hold()
        failing = [start(coalescer.submit(item)) for item in (1, 2)]
        await turns()
        ledger.release()
        await turns()
        assert ledger.batches == [[1, 2], [1]]
        following = start(coalescer.submit(3))
        await turns()
        assert ledger.batches == [[1, 2], [1], [3]]
        assert ledger.running == 2
        ledger.release(3)
        assert await following == 6
        assert kinds(await outcomes(failing)) == [Poison, 4]


async def test_calls_of_several_failed_batches_run_again_one_at_a_time() -> None:
    ledger = Ledger(poison=[1, 3])
    ledger.hold()
    async with Coalescer(ledger.run, size_max=2) as coalescer:
        calls = [start(coalescer.submit(item)) for item in (1, 2, 3, 4)]
        await turns()
        ledger.release()
        await turns()
        assert ledger.batches == [[1, 2], [3, 4], [1]]
        ledger.release(2)
        await turns()
        assert ledger.running == 1
        ledger.release(3)
        assert kinds(await outcomes(calls)) == [Poison, 4, Poison, 8]

    assert ledger.batches == [[1, 2], [3, 4], [1], [2], [3], [4]]


async def test_running_again_ends_after_the_time_of_a_batch() -> None:
    ledger, now = Ledger(poison=[1]), [100.0]

    async def slow(items: Sequence[int]) -> Sequence[int]:
        now[0] += 1.0
        return await ledger.run(items)

    async with Coalescer(slow, timeout_s=2.0, monotonic=lambda: now[0]) as coalescer:
        calls = [start(coalescer.submit(item)) for item in (1, 2, 3, 4)]
        assert kinds(await outcomes(calls)) == [Poison, 4, Poison, Poison]

    assert ledger.batches == [[1, 2, 3, 4], [1], [2]]


async def test_in_an_outage_all_calls_fail_and_nothing_is_sent_again() -> None:
    ledger = Ledger()
    ledger.outage = True
    async with Coalescer(ledger.run, is_outage=lambda error: isinstance(error, Outage)) as coalescer:
        calls = [start(coalescer.submit(item)) for item in range(5)]
        assert kinds(await outcomes(calls)) == [Outage] * 5
        assert ledger.batches == [[0, 1, 2, 3, 4]]
        ledger.outage = False
        assert await coalescer.submit(6) == 12


async def test_an_outage_that_begins_while_calls_run_again_ends_that_too() -> None:
    ledger = Ledger(poison=[1])
    ledger.hold()
    async with Coalescer(ledger.run, is_outage=lambda error: isinstance(error, Outage)) as coalescer:
        calls = [start(coalescer.submit(item)) for item in range(5)]
        await turns()
        ledger.release(2)
        await turns()
        assert ledger.batches[1:] == [[0], [1]]
        ledger.outage = True
        ledger.release(9)
        assert kinds(await outcomes(calls)) == [0, *[Outage] * 4]

    assert ledger.batches == [[0, 1, 2, 3, 4], [0], [1]]


async def test_a_batch_that_never_ends_is_ended_and_the_next_one_is_sent() -> None:
    ledger = Ledger()
    ledger.hold()
    async with Coalescer(ledger.run, timeout_s=0.01) as coalescer:
        calls = [start(coalescer.submit(item)) for item in (1, 2)]
        assert kinds(await outcomes(calls)) == [BatchTimedOut] * 2
        assert ledger.running == 0
        ledger.release()
        assert await coalescer.submit(3) == 6

    assert ledger.batches == [[1, 2], [3]]


async def test_a_time_out_of_the_batch_s_own_making_is_an_error_like_any_other() -> None:
    async def times_out(items: Sequence[int]) -> Sequence[int]:
        if 2 in items:
            raise TimeoutError
        return items

    async with Coalescer(times_out) as coalescer:
        calls = [start(coalescer.submit(item)) for item in (1, 2)]
        assert kinds(await outcomes(calls)) == [1, TimeoutError]


async def test_more_waiting_calls_than_allowed_are_refused_and_room_is_made_again() -> None:
    ledger, observer = Ledger(), Observer()
    async with Coalescer(ledger.run, waiting_max=2, observer=observer) as coalescer:
        calls = await held(ledger, coalescer, 1, 2)
        with pytest.raises(Overloaded):
            await coalescer.submit(3)
        assert observer.waiting() == 2
        ledger.release(3)
        assert await outcomes(calls) == [0, 2, 4]
        assert await coalescer.submit(5) == 10
    assert observer.waiting() == 0
    assert observer.sizes == [1, 2, 1]


async def test_calls_that_are_to_run_again_count_as_waiting() -> None:
    ledger = Ledger(poison=[1])
    ledger.hold()
    async with Coalescer(ledger.run, waiting_max=3, gather_s=0) as coalescer:
        calls = [start(coalescer.submit(item)) for item in (1, 2, 3)]
        await turns()
        ledger.release()
        await turns()
        assert coalescer.waiting == 2
        ledger.poison.clear()
        for item in (4, 5):
            calls.append(start(coalescer.submit(item)))
            await turns()
        assert coalescer.waiting == 3
        with pytest.raises(Overloaded):
            await coalescer.submit(6)
        ledger.release(9)
        await outcomes(calls)


async def test_closing_refuses_new_calls_and_finishes_what_waits_without_a_pause() -> None:
    ledger = Ledger()
    coalescer = Coalescer(ledger.run, size_max=2, gather_s=AN_HOUR_S)
    calls = await held(ledger, coalescer, 1, 2, 3)
    closing = asyncio.create_task(coalescer.aclose())
    await turns()
    with pytest.raises(Unavailable):
        await coalescer.submit(9)
    assert not closing.done()
    ledger.release(3)
    await closing

    assert [call.result() for call in calls] == [0, 2, 4, 6]
    assert ledger.batches == [[0], [1, 2], [3]]


async def test_closing_ends_a_pause_that_has_begun() -> None:
    ledger = Ledger()
    async with Coalescer(ledger.run, gather_s=AN_HOUR_S) as coalescer:
        await asyncio.gather(*(coalescer.submit(item) for item in range(5)))
        late = start(coalescer.submit(6))
        await turns()
        assert not late.done()
    assert await late == 12


async def test_closing_waits_for_calls_that_run_again() -> None:
    ledger = Ledger(poison=[1])
    ledger.hold()
    coalescer = Coalescer(ledger.run, gather_s=0)
    calls = [start(coalescer.submit(item)) for item in (1, 2)]
    await turns()
    closing = asyncio.create_task(coalescer.aclose())
    ledger.release(2)
    await turns(20)
    assert not closing.done()
    ledger.release()
    await closing

    assert kinds(await outcomes(calls)) == [Poison, 4]


async def test_a_batch_does_not_run_in_the_context_of_one_of_its_callers() -> None:
    seen: list[str] = []

    async def remember(items: Sequence[int]) -> Sequence[int]:
        seen.append(caller.get())
        return items

    caller.set("somebody")
    async with Coalescer(remember) as coalescer:
        await coalescer.submit(1)

    assert seen == ["nobody"]


async def test_a_batch_that_returns_too_few_results_leaves_nobody_waiting() -> None:
    async def forgetful(items: Sequence[int]) -> Sequence[int]:
        return items[1:]

    async with Coalescer(forgetful) as coalescer:
        calls = [start(coalescer.submit(item)) for item in (1, 2)]
        assert ValueError in kinds(await outcomes(calls))


async def test_a_cancelled_batch_leaves_nobody_waiting_and_the_next_call_is_served() -> None:
    async def cancelled(items: Sequence[int]) -> Sequence[int]:
        if 1 in items:
            raise asyncio.CancelledError
        return items

    async with Coalescer(cancelled) as coalescer:
        with pytest.raises(asyncio.CancelledError):
            await coalescer.submit(1)
        await turns()
        assert await coalescer.submit(2) == 2


async def test_the_sizes_of_batches_and_the_calls_that_wait_are_measured() -> None:
    registry, ledger = CollectorRegistry(), Ledger()
    async with Coalescer(ledger.run, observer=BatchMetrics(registry, "posting")) as coalescer:
        calls = await held(ledger, coalescer, 1, 2, 3)
        assert registry.get_sample_value("posting_batch_calls_waiting") == 3
        ledger.release(2)
        await outcomes(calls)

    assert registry.get_sample_value("posting_batch_calls_waiting") == 0
    assert registry.get_sample_value("posting_batch_calls_count") == 2
    assert registry.get_sample_value("posting_batch_calls_sum") == 4
