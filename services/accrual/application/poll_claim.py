"""Asks the provider about one claim and records what it said. One log line for every poll."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from services.accrual.application.gate import Gate
from services.accrual.application.ports import AccrualSystem, Lease, PollQueue, ProviderFailed, ProviderSilenced, ProviderThrottled
from services.accrual.domain.backoff import BackOff
from services.accrual.domain.claims import Answer, State, seen_state
from shared.faults import Faults

log = structlog.get_logger()

LEASED = "poll-leased"
ANSWERED = "poll-answered"
CONCLUDED = "poll-concluded"


@dataclass(frozen=True, slots=True)
class PollParts:
    """What polling needs. `chance` draws from [0, 1)."""

    queue: PollQueue
    system: AccrualSystem
    gate: Gate
    back_off: BackOff
    chance: Callable[[], float]
    faults: Faults


class PollClaim:
    """A poll that brought nothing final is repeated later, for ever: 204 and failures are never an answer."""

    def __init__(self, parts: PollParts) -> None:
        self._parts = parts

    async def __call__(self, lease: Lease) -> None:
        """Handles one leased claim. Raises what the database raises; the lease then ends by itself."""
        parts = self._parts
        parts.faults.reach(LEASED)
        began = time.perf_counter()
        try:
            answer = await parts.gate.through("ask", lambda: parts.system.ask(lease.number), _kind)
        except ProviderSilenced:
            await parts.queue.give_back(lease)  # nothing was sent, so there is nothing to tell
            return
        except ProviderThrottled as throttled:
            await parts.queue.give_back(lease)
            _report(lease, "throttled", began, pause_s=throttled.wait_s)
            return
        except ProviderFailed as failed:
            delay_s, kept = await self._postpone(lease, lease.state)
            _report(lease, failed.kind, began, next_in_s=delay_s, lease_kept=kept, error=str(failed))
            return
        parts.faults.reach(ANSWERED)
        await self._record(lease, answer, began)

    async def _record(self, lease: Lease, answer: Answer, began: float) -> None:
        if answer.is_final:
            kept = await self._parts.queue.conclude(lease, answer)
            self._parts.faults.reach(CONCLUDED)
            _report(lease, _kind(answer), began, lease_kept=kept, accrual=answer.accrual)
            return
        delay_s, kept = await self._postpone(lease, seen_state(lease.state, answer))
        _report(lease, _kind(answer), began, next_in_s=delay_s, lease_kept=kept)

    async def _postpone(self, lease: Lease, state: State) -> tuple[float, bool]:
        """A claim that has moved is asked about as often as a new one again."""
        attempts = 1 if state is not lease.state else lease.attempts + 1
        delay_s = self._parts.back_off.delay_s(attempts, self._parts.chance())
        return round(delay_s, 3), await self._parts.queue.postpone(lease, state, attempts, delay_s)


def _kind(answer: Answer) -> str:
    return "NOT_REGISTERED" if answer.state is State.NEW else answer.state.name


def _report(lease: Lease, outcome: str, began: float, *, error: str | None = None, **fields: object) -> None:
    write = log.warning if error else log.info
    ms = round((time.perf_counter() - began) * 1000, 2)
    write("poll", number=lease.number, outcome=outcome, ms=ms, attempt=lease.attempts + 1, error=error, **fields)
