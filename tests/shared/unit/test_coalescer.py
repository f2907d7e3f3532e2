"""How calls become batches: when they are sent, with whom, and who waits for what."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import count

import pytest
from prometheus_client import CollectorRegistry

from shared.coalescer import GATHER_TIMES_MAX, Coalescer
from shared.errors import DeadlineExceeded, Overloaded, Unavailable
from shared.observability.metrics import BatchMetrics
from tests.shared.unit.coalescing import AN_HOUR_S, Ledger, Observer, Poison, caller, held, kinds, outcomes, start, turns


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
