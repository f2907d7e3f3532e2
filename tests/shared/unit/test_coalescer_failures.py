"""Batches that fail: only the culprit gets the error, an outage is everybody's, and nothing waits for ever."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from shared.coalescer import BatchTimedOut, Coalescer
from shared.errors import Overloaded
from tests.shared.unit.coalescing import Ledger, Outage, Poison, kinds, outcomes, start, turns


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
