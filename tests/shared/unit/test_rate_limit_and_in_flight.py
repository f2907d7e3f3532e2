from __future__ import annotations

import asyncio

import pytest

from shared.errors import Overloaded, RateLimited
from shared.grpc.in_flight import InFlight
from shared.rate_limit import KeyedLimiter


def test_a_key_may_burst_and_then_recovers_with_time() -> None:
    now = [0.0]
    limiter = KeyedLimiter(burst=2, per_second=0.5, monotonic=lambda: now[0])
    limiter.count("a")
    limiter.count("a")

    with pytest.raises(RateLimited) as limited:
        limiter.check("a")
    limiter.check("b")
    assert limited.value.retry_after_s == pytest.approx(2.0)
    now[0] = 2.0
    limiter.check("a")


def test_the_limiter_forgets_the_key_it_saw_first_when_it_is_full() -> None:
    limiter = KeyedLimiter(burst=1, per_second=0.001, keys_max=2, monotonic=lambda: 0.0)
    for key in ("a", "b", "c"):
        limiter.count(key)

    limiter.check("a")
    with pytest.raises(RateLimited):
        limiter.check("c")


async def test_more_than_the_limit_is_refused_and_room_is_made_again() -> None:
    in_flight = InFlight(1)
    with in_flight, pytest.raises(Overloaded), in_flight:
        raise AssertionError("entered beyond the limit")
    with in_flight:
        assert in_flight.count == 1
    assert in_flight.count == 0


async def test_a_write_goes_on_when_its_caller_is_cancelled_and_is_awaited() -> None:
    in_flight, go, done = InFlight(10), asyncio.Event(), []

    async def write() -> None:
        await go.wait()
        done.append(True)

    async def call() -> None:
        with in_flight:
            await in_flight.run_to_end(write(), 5)

    caller = asyncio.create_task(call())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert in_flight.count == 1
    assert not await in_flight.wait_idle(0.01)
    go.set()
    assert await in_flight.wait_idle(5)
    assert done == [True]


async def test_a_write_that_never_ends_is_ended() -> None:
    with pytest.raises(TimeoutError):
        await InFlight(1).run_to_end(asyncio.sleep(60), 0.01)


async def test_a_write_whose_caller_has_gone_is_ended_as_well() -> None:
    in_flight = InFlight(1)
    caller = asyncio.create_task(in_flight.run_to_end(asyncio.sleep(60), 0.01))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller

    assert in_flight.count == 1
    assert await in_flight.wait_idle(5)


async def test_each_write_is_ended_at_its_own_time_whichever_began_first() -> None:
    in_flight, ended = InFlight(3), []

    async def call(limit_s: float) -> None:
        with pytest.raises(TimeoutError):
            await in_flight.run_to_end(asyncio.sleep(60), limit_s)
        ended.append(limit_s)

    async with asyncio.timeout(5):
        await asyncio.gather(*(call(limit_s) for limit_s in (0.15, 0.05, 0.25)))
    assert ended == [0.05, 0.15, 0.25]


async def test_a_write_that_cleans_up_is_not_cancelled_again() -> None:
    in_flight, cancelled = InFlight(2), []

    async def work() -> str:
        for _ in range(2):
            try:
                await asyncio.sleep(0.2)
            except asyncio.CancelledError:
                cancelled.append(True)
        return "cleaned up"

    async def later() -> None:
        with pytest.raises(TimeoutError):
            await in_flight.run_to_end(asyncio.sleep(60), 0.1)

    answer, _ = await asyncio.gather(in_flight.run_to_end(work(), 0.02), later())
    assert answer == "cleaned up"
    assert cancelled == [True]


async def test_a_write_raises_what_its_work_raises() -> None:
    async def work() -> None:
        raise Overloaded

    with pytest.raises(Overloaded):
        await InFlight(1).run_to_end(work(), 5)
