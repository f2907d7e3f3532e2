"""What one poll makes of each answer, and the gate that each request goes through."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from services.accrual.application.gate import Gate
from services.accrual.application.poll_claim import PollClaim, PollParts
from services.accrual.application.ports import ProviderFailed, ProviderRefused, ProviderSilenced, ProviderThrottled
from services.accrual.domain.backoff import BackOff
from services.accrual.domain.claims import NOT_REGISTERED, UNDER_WAY, Answer, State
from services.accrual.domain.provider import Breaker, BreakerRules, Permit, Provider
from services.accrual.entrypoints.jobs.poller import Poller, PollerRules
from shared.faults import Faults
from tests.accrual.unit.fakes import NOW, FakeObserver, FakeQueue, FakeRecord, FakeSystem, lease

RULES = BreakerRules(failures_max=2, cool_down_s=5, cool_down_max_s=60, probe_s=10)


def gate_of(record: FakeRecord, observer: FakeObserver, *, slots: int = 4) -> Gate:
    return Gate(record, RULES, observer, slots=slots)


class Bench:
    """A poll with everything around it faked."""

    def __init__(self, *replies: Answer | int | Exception, record: FakeRecord | None = None) -> None:
        self.system = FakeSystem(list(replies))
        self.record = record or FakeRecord()
        self.queue = FakeQueue()
        self.observer = FakeObserver()
        gate = gate_of(self.record, self.observer)
        self.poll = PollClaim(PollParts(self.queue, self.system, gate, BackOff(1, 60), lambda: 0.5, Faults()))


@pytest.mark.parametrize("answer", [Answer(State.PROCESSED, 5), Answer(State.PROCESSED), Answer(State.INVALID)])
async def test_a_final_answer_is_stored(answer: Answer) -> None:
    bench = Bench(answer)

    await bench.poll(lease())

    assert (bench.queue.concluded, bench.queue.postponed, bench.system.asked) == ([answer], [], ["18"])
    assert (bench.record.provider.last_success_at, bench.observer.kinds) == (NOW, [answer.state.name])


@pytest.mark.parametrize(
    ("before", "answer", "postponed"),
    [
        (State.NEW, NOT_REGISTERED, (State.NEW, 4, 4.0)),
        (State.PROCESSING, NOT_REGISTERED, (State.PROCESSING, 4, 4.0)),
        (State.PROCESSING, UNDER_WAY, (State.PROCESSING, 4, 4.0)),
        (State.NEW, UNDER_WAY, (State.PROCESSING, 1, 0.5)),  # it has moved: asked about as often as a new one again
    ],
)
async def test_no_final_answer_means_asking_again_later(before: State, answer: Answer, postponed: tuple[State, int, float]) -> None:
    bench = Bench(answer)

    await bench.poll(lease(state=before, attempts=3))

    assert (bench.queue.postponed, bench.queue.concluded) == ([postponed], [])


async def test_a_failed_poll_changes_nothing_but_when_it_is_repeated() -> None:
    bench = Bench(ProviderFailed("nonsense", "another order"))

    await bench.poll(lease(state=State.PROCESSING, attempts=1))

    assert bench.queue.postponed == [(State.PROCESSING, 2, 1.0)]
    assert bench.observer.kinds == ["nonsense"]
    assert (bench.record.provider.consecutive_failures, bench.record.provider.last_failure) == (1, "nonsense: another order")


async def test_a_throttled_poll_is_not_an_attempt_and_silences_the_fleet() -> None:
    bench, taken = Bench(ProviderThrottled(60)), lease(attempts=3)

    await bench.poll(taken)

    assert (bench.queue.given_back, bench.queue.postponed) == ([taken], [])
    assert bench.record.provider.silent_until(NOW) == NOW + timedelta(seconds=60)
    assert bench.record.provider.consecutive_failures == 0


async def test_while_the_provider_must_not_be_asked_nothing_is_sent() -> None:
    bench, taken = Bench(UNDER_WAY, record=FakeRecord(permit=7.5)), lease()

    await bench.poll(taken)

    assert (bench.system.asked, bench.queue.given_back) == ([], [taken])


async def test_the_gate_limits_how_many_requests_are_under_way() -> None:
    gate, running, most = gate_of(FakeRecord(), FakeObserver(), slots=3), 0, 0

    async def send() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1

    await asyncio.gather(*(gate.through("ask", send, str) for _ in range(20)))

    assert most == 3


async def test_the_gate_asks_for_leave_right_before_it_sends() -> None:
    """A request that waited for a slot while the provider asked for silence must not be sent any more."""
    record = FakeRecord()
    gate = gate_of(record, FakeObserver(), slots=1)
    sent = []

    async def send_first() -> None:
        await asyncio.sleep(0.01)
        record.permit = 60.0
        raise ProviderThrottled(60)

    async def send_second() -> None:
        sent.append("second")

    first, second = await asyncio.gather(
        gate.through("ask", send_first, str), gate.through("ask", send_second, str), return_exceptions=True
    )

    assert isinstance(first, ProviderThrottled)
    assert isinstance(second, ProviderSilenced)
    assert sent == []


async def test_the_gate_opens_the_breaker_after_failures_and_a_probe_closes_it() -> None:
    record = FakeRecord()
    bench = Bench(ProviderFailed("timeout", ""), ProviderFailed("timeout", ""), UNDER_WAY, record=record)

    await bench.poll(lease())
    await bench.poll(lease())
    opened = record.provider
    probe_id = uuid4()
    record.provider, record.permit = Provider(Breaker.HALF_OPEN, probe_id=probe_id, openings=1), Permit(probe_id)
    await bench.poll(lease())

    assert (opened.breaker, record.provider.breaker) == (Breaker.OPEN, Breaker.CLOSED)


class TestPoller:
    """The loop around it."""

    @staticmethod
    async def run_for(poller: Poller, seconds: float) -> None:
        task = asyncio.create_task(poller.run())
        await asyncio.sleep(seconds)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    @staticmethod
    def poller(bench: Bench, *, concurrency: int = 2, idle_s: float = 0.01, wake: asyncio.Event | None = None) -> Poller:
        rules = PollerRules(concurrency, idle_s)
        return Poller(bench.queue, bench.record, bench.poll, bench.observer, rules, wake or asyncio.Event())

    async def test_it_works_off_what_is_due(self) -> None:
        bench = Bench(Answer(State.INVALID))
        bench.queue.due = [lease(str(count)) for count in range(7)]

        await self.run_for(self.poller(bench), 0.1)

        assert len(bench.queue.concluded) == 7

    async def test_it_takes_nothing_while_the_provider_must_not_be_asked(self) -> None:
        bench = Bench(UNDER_WAY, record=FakeRecord(Provider(blocked_until=NOW + timedelta(seconds=60))))
        bench.queue.due = [lease()]

        await self.run_for(self.poller(bench), 0.05)

        assert (len(bench.queue.due), bench.system.asked) == (1, [])

    async def test_it_takes_one_claim_only_to_find_out_whether_a_provider_is_well_again(self) -> None:
        bench = Bench(UNDER_WAY, record=FakeRecord(Provider(Breaker.OPEN)))
        bench.queue.due = [lease(str(count)) for count in range(5)]

        await self.run_for(self.poller(bench, idle_s=10), 0.05)

        assert len(bench.system.asked) == 1

    async def test_a_new_claim_ends_its_idle_waiting(self) -> None:
        bench, wake = Bench(Answer(State.INVALID)), asyncio.Event()
        running = asyncio.create_task(self.run_for(self.poller(bench, idle_s=60, wake=wake), 0.1))
        await asyncio.sleep(0.02)
        bench.queue.due = [lease()]
        wake.set()
        await running

        assert len(bench.queue.concluded) == 1

    async def test_polls_that_are_under_way_end_before_it_stops(self) -> None:
        bench = Bench(Answer(State.INVALID))
        bench.queue.due = [lease()]
        begun, finish = asyncio.Event(), asyncio.Event()

        async def slow(number: str) -> Answer:
            begun.set()
            await finish.wait()
            return Answer(State.INVALID)

        bench.system.ask = slow  # type: ignore[method-assign]
        task = asyncio.create_task(self.poller(bench).run())
        await begun.wait()
        task.cancel()
        finish.set()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert len(bench.queue.concluded) == 1

    async def test_it_outlives_a_database_that_is_away(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("services.accrual.entrypoints.jobs.poller.DATABASE_RETRY_S", 0.01)
        bench = Bench(Answer(State.INVALID))
        bench.queue.due = [lease()]
        give, failures = bench.queue.lease, [OSError("away"), OSError("away")]

        async def flaky(limit: int) -> object:
            if failures:
                raise failures.pop()
            return await give(limit)

        bench.queue.lease = flaky  # type: ignore[assignment, method-assign]
        await self.run_for(self.poller(bench), 0.1)

        assert len(bench.queue.concluded) == 1


async def test_a_request_that_the_provider_refuses_is_a_failed_poll_and_says_nothing_of_how_the_provider_is() -> None:
    bench = Bench(ProviderRefused(422))

    for _ in range(20):
        await bench.poll(lease())

    assert len(bench.queue.postponed) == 20
    assert (bench.record.provider.consecutive_failures, set(bench.observer.kinds)) == (0, {"refused"})
