"""Small stand-ins for the ports, which remember what they were asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

from services.accrual.application.ports import Backlog, Good, Lease
from services.accrual.domain.claims import Answer, Claim, State
from services.accrual.domain.provider import Permit, Provider
from services.accrual.domain.submission import Outcome, Submission
from shared.errors import GalenError

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def lease(number: str = "18", *, state: State = State.NEW, attempts: int = 0) -> Lease:
    return Lease(number, "ann", state, attempts, uuid4())


def claim(*, state: State = State.NEW, accrual: int | None = None) -> Claim:
    return Claim("18", "ann", state, accrual, None, NOW, NOW)


@dataclass
class FakeSystem:
    """A provider that gives these answers, or raises these failures, one after the other; the last one for ever."""

    replies: list[Answer | int | Exception]
    asked: list[str] = field(default_factory=list)
    registered: list[tuple[str, Sequence[Good]]] = field(default_factory=list)

    async def ask(self, number: str) -> Answer:
        self.asked.append(number)
        reply = self._next()
        assert isinstance(reply, Answer)
        return reply

    async def register(self, number: str, goods: Sequence[Good]) -> int:
        self.registered.append((number, goods))
        reply = self._next()
        assert isinstance(reply, int)
        return reply

    def _next(self) -> Answer | int:
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply


@dataclass
class FakeRecord:
    """The shared row, in memory; `permit` overrules it."""

    provider: Provider = field(default_factory=Provider)
    permit: Permit | float = field(default_factory=Permit)

    async def read(self) -> tuple[Provider, datetime]:
        return self.provider, NOW

    async def take_permit(self) -> Permit | float:
        return self.permit

    async def change(self, after: Callable[[Provider, datetime], Provider]) -> tuple[Provider, Provider]:
        before = self.provider
        self.provider = after(before, NOW)
        return before, self.provider


@dataclass
class FakeQueue:
    """A queue that gives out `due` and writes down what became of the leases."""

    due: list[Lease] = field(default_factory=list)
    given_back: list[Lease] = field(default_factory=list)
    postponed: list[tuple[State, int, float]] = field(default_factory=list)
    concluded: list[Answer] = field(default_factory=list)

    async def lease(self, limit: int) -> Sequence[Lease]:
        taken, self.due = self.due[:limit], self.due[limit:]
        return taken

    async def give_back(self, lease: Lease) -> None:
        self.given_back.append(lease)

    async def postpone(self, lease: Lease, state: State, attempts: int, delay_s: float) -> bool:
        self.postponed.append((state, attempts, delay_s))
        return True

    async def conclude(self, lease: Lease, answer: Answer) -> bool:
        self.concluded.append(answer)
        return True

    async def backlog(self) -> Backlog:
        return Backlog(0, 0, 0.0, 0.0)


@dataclass
class FakeSubmissions:
    """Gives the outcomes in `looked_up` and `submitted`."""

    looked_up: tuple[Outcome, Claim | None] = (Outcome.CREATE, None)
    submitted: tuple[Outcome, Claim | None] = (Outcome.CREATE, None)
    submissions: list[Submission] = field(default_factory=list)

    async def submit(self, submission: Submission) -> tuple[Outcome, Claim | None]:
        self.submissions.append(submission)
        return self.submitted

    async def look_up(self, submission: Submission) -> tuple[Outcome, Claim | None]:
        return self.looked_up


@dataclass
class FakeSettlements:
    """One claim, owed or not."""

    claim: Claim | None
    published: list[tuple[str, str]] = field(default_factory=list)

    async def owed(self, number: str) -> Claim | None:
        return self.claim

    async def publish(self, number: str, credit_operation: str) -> None:
        self.published.append((number, credit_operation))


@dataclass
class FakePoints:
    """Credits, or fails."""

    failure: GalenError | None = None
    credited: list[tuple[UUID, int | None]] = field(default_factory=list)

    async def credit(self, claim: Claim) -> str:
        if self.failure:
            raise self.failure
        self.credited.append((claim.credit_request_id, claim.accrual))
        return "programs/main/accounts/ann/operations/1"


@dataclass
class FakeObserver:
    """Remembers how requests and credits ended."""

    kinds: list[str] = field(default_factory=list)
    credit_failures: list[str] = field(default_factory=list)

    def answered(self, operation: str, kind: str, took_s: float) -> None:
        self.kinds.append(kind)

    def provider_seen(self, provider: Provider, now: datetime) -> None: ...

    def backlog_seen(self, backlog: Backlog) -> None: ...

    def credit_failed(self, reason: str) -> None:
        self.credit_failures.append(reason)
