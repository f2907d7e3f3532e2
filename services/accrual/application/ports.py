"""What the use cases need of the outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.accrual.domain.claims import Answer, Claim, State
from services.accrual.domain.provider import Permit, Provider
from services.accrual.domain.submission import Outcome, Submission


class ProviderFailed(Exception):
    """The provider gave no usable answer. `kind` is a word for metrics, the text says what happened."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind


class ProviderRefused(ProviderFailed):
    """The provider refuses this one request. It says nothing of how the provider is: others may go on."""

    def __init__(self, status: int) -> None:
        super().__init__("refused", f"status {status}")


class ProviderThrottled(Exception):
    """The provider asks for silence, in seconds."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"asked for silence of {wait_s:g} s")
        self.wait_s = wait_s


class ProviderSilenced(Exception):
    """The gate lets no request through for this many seconds; nothing was sent."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"no requests for {wait_s:g} s")
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Good:
    """One line of a purchase; the price is in hundredths of the currency unit."""

    description: str
    price_minor: int


class AccrualSystem(Protocol):
    """The provider: the outside system that decides what an order earns."""

    async def ask(self, number: str) -> Answer:
        """Returns what it says of an order. Raises ProviderThrottled, ProviderFailed."""

    async def register(self, number: str, goods: Sequence[Good]) -> int:
        """Tells it of a purchase; returns the status it answered: 202, 409 if it knew it, another if it refuses it.

        Raises ProviderThrottled, ProviderFailed.
        """


class ProviderRecord(Protocol):
    """What the fleet knows of the provider: one row that all replicas share. Times are the database's."""

    async def read(self) -> tuple[Provider, datetime]:
        """Returns the state and the time."""

    async def take_permit(self) -> Permit | float:
        """Returns leave to send one request now, or for how many seconds none may be sent."""

    async def change(self, after: Callable[[Provider, datetime], Provider]) -> tuple[Provider, Provider]:
        """Applies a pure change under the row's lock, which is not taken if it changes nothing; returns the states before and after."""


class Submissions(Protocol):
    """Where order numbers find their owners: load -> decide -> store, in one transaction."""

    async def submit(self, submission: Submission) -> tuple[Outcome, Claim | None]:
        """Makes the claim or says why not. An outcome that is no refusal comes with the claim, and is remembered with it.

        Raises RequestIdReused.
        """

    async def look_up(self, submission: Submission) -> tuple[Outcome, Claim | None]:
        """Tells what `submit` would do now, and does nothing. Raises RequestIdReused."""


@dataclass(frozen=True, slots=True)
class ClaimFilter:
    """Which claims to list: the customer's, made before (`created_at`, number) `position` if there is one."""

    customer: str
    position: tuple[datetime, str] | None
    limit: int


class Claims(Protocol):
    """Claims, read."""

    async def find(self, customer: str, number: str) -> Claim | None:
        """Returns the customer's claim of this number."""

    async def list(self, wanted: ClaimFilter) -> Sequence[Claim]:
        """Returns at most `limit` claims, newest first."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """The work that waits: claims without an answer, claims whose points are being credited, and how late the latest are."""

    pending: int
    settling: int
    oldest_due_s: float
    oldest_settling_s: float


@dataclass(frozen=True, slots=True)
class Lease:
    """A claim that is ours to ask about until the lease ends; `attempts` polls brought nothing new so far."""

    number: str
    customer: str
    state: State
    attempts: int
    token: UUID


class PollQueue(Protocol):
    """Claims that are due, and what becomes of them. Each change needs the lease's token: whoever lost the lease changes nothing."""

    async def lease(self, limit: int) -> Sequence[Lease]:
        """Takes at most `limit` due claims that nobody else has taken, the longest due first."""

    async def give_back(self, lease: Lease) -> None:
        """Ends the lease as if it had never been."""

    async def postpone(self, lease: Lease, state: State, attempts: int, delay_s: float) -> bool:
        """Ends the lease; the claim is due again after `delay_s`. Returns False if the lease was lost."""

    async def conclude(self, lease: Lease, answer: Answer) -> bool:
        """Stores a final answer; in the same commit publishes it, or adds the settling job if points are owed.

        Returns False if the lease was lost.
        """

    async def backlog(self) -> Backlog:
        """Returns what waits."""


class Settlements(Protocol):
    """Claims whose answer is stored and whose points are owed."""

    async def owed(self, number: str) -> Claim | None:
        """Returns the claim, None if it was published already."""

    async def publish(self, number: str, credit_operation: str) -> None:
        """Makes the claim PROCESSED, if it is not."""


class Points(Protocol):
    """The customers' points."""

    async def credit(self, claim: Claim) -> str:
        """Credits what the claim earned, once however often it is asked; returns the operation's name. Raises GalenError."""


class Observer(Protocol):
    """Metrics."""

    def answered(self, operation: str, kind: str, took_s: float) -> None:
        """A request to the provider ended this way."""

    def provider_seen(self, provider: Provider, now: datetime) -> None:
        """The shared state of the provider was read."""

    def backlog_seen(self, backlog: Backlog) -> None:
        """The backlog was read."""

    def credit_failed(self, reason: str) -> None:
        """A settling job failed."""
