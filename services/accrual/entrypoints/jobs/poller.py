"""The loop that keeps asking the provider: takes due claims as slots come free, and waits where nothing may be sent.

It has no logic of its own: what is due, what may be sent and what an answer means is decided by the use case and its ports.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from dataclasses import dataclass

import structlog

from services.accrual.application.poll_claim import PollClaim
from services.accrual.application.ports import Lease, Observer, PollQueue, ProviderRecord
from services.accrual.domain.provider import Breaker
from shared.observability.tracing import start_span
from shared.tasks import going_on

log = structlog.get_logger()

# A pause may be ended early by another replica's probe, so the shared state is read at least this often.
REREAD_S = 1.0
# Replicas that waited for the same end do not all come at the same instant.
SPREAD_S = 0.2
DATABASE_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class PollerRules:
    """How many claims are asked about at once, and how long to wait when none is due."""

    concurrency: int
    idle_s: float


class Poller:
    """One for each process. Set `new_claims` to end its idle waiting."""

    def __init__(
        self, queue: PollQueue, record: ProviderRecord, poll: PollClaim, observer: Observer, rules: PollerRules, new_claims: asyncio.Event
    ) -> None:
        self._queue = queue
        self._record = record
        self._poll = poll
        self._observer = observer
        self._rules = rules
        self._new_claims = new_claims
        self._polls: set[asyncio.Task[None]] = set()
        self._taking: asyncio.Task[int] | None = None

    async def run(self) -> None:
        """Runs until cancelled, then lets the polls that are under way end. Outlives failures of the database."""
        try:
            while going_on():
                try:
                    await self._round()
                except Exception as error:  # noqa: BLE001  whatever went wrong in a round, claims must go on
                    log.warning("polling failed, starting again", error=repr(error))
                    await asyncio.sleep(DATABASE_RETRY_S)
        finally:
            await self._end()

    async def _end(self) -> None:
        """Leaves no lease behind that others would have to wait for."""
        if self._taking:
            await asyncio.gather(self._taking, return_exceptions=True)
        await asyncio.gather(*self._polls, return_exceptions=True)

    async def _round(self) -> None:
        """Starts what can be started, then waits until more may be possible."""
        provider, now = await self._record.read()
        self._observer.provider_seen(provider, now)
        until = provider.silent_until(now)
        if until is not None:
            await asyncio.sleep(min(REREAD_S, (until - now).total_seconds()) + random.uniform(0, SPREAD_S))  # noqa: S311
            return
        # A breaker that is not closed lets one request through: more leases would only be given back.
        free = self._free if provider.breaker is Breaker.CLOSED else min(1, self._free)
        self._new_claims.clear()
        self._taking = asyncio.create_task(self._take(free))
        taken = await asyncio.shield(self._taking)
        if not self._free:
            await asyncio.wait(self._polls, return_when=asyncio.FIRST_COMPLETED)
        elif taken < free or provider.breaker is not Breaker.CLOSED:
            await self._idle()

    @property
    def _free(self) -> int:
        return self._rules.concurrency - len(self._polls)

    async def _take(self, free: int) -> int:
        leases = await self._queue.lease(free)
        for lease in leases:
            task = asyncio.create_task(self._guarded(lease))
            self._polls.add(task)
            task.add_done_callback(self._polls.discard)
        return len(leases)

    async def _guarded(self, lease: Lease) -> None:
        start_span(None)
        try:
            await self._poll(lease)
        except Exception as error:  # noqa: BLE001  one claim's failure must not end the others; its lease ends by itself
            log.warning("a poll could not be recorded", number=lease.number, error=repr(error))

    async def _idle(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._rules.idle_s):
                await self._new_claims.wait()
