"""What the proof of the ledger, audit and hash chain, needs of the outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.balance.domain.books import Totals
from services.balance.domain.chain import Head, Link, Recorded, SignedHead
from services.balance.domain.invariants import Finding
from services.balance.domain.names import AccountName
from services.balance.domain.verification import StoredLink

LOWEST, HIGHEST = UUID(int=0), UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Account keys from `low` to `high`, both included."""

    low: UUID = LOWEST
    high: UUID = HIGHEST


@dataclass(frozen=True, slots=True)
class AuditedAccount:
    """An account that is to be audited. `version` says how many operations it has, if nobody tampered with it."""

    key: UUID
    name: AccountName
    version: int


class AuditedTables(Protocol):
    """The ledger at one moment."""

    async def count(self, keys: KeyRange) -> int:
        """Returns how many accounts there are."""

    async def accounts(self, keys: KeyRange, limit: int) -> Sequence[AuditedAccount]:
        """Returns the first accounts of the range."""

    async def findings(self, keys: KeyRange, accounts: Sequence[AuditedAccount]) -> Sequence[Finding]:
        """Returns what does not hold of the range's accounts, which `accounts` names."""

    async def totals(self, keys: KeyRange) -> Totals:
        """Returns what the range's accounts contribute to the books."""


class Audits(Protocol):
    """Where snapshots of the ledger come from."""

    def snapshot(self, program: str | None) -> AbstractAsyncContextManager[AuditedTables]:
        """Returns the ledger as it is when the block begins: the accounts of one programme, or of all."""


@dataclass(frozen=True, slots=True)
class AuditResult:
    """What an audit of the whole ledger found: how many findings of which name."""

    finished_at: datetime
    accounts: int
    findings: Mapping[str, int]


class AuditRuns(Protocol):
    """The periodic audits of the fleet, one at a time."""

    async def begin(self, interval_s: float) -> int | None:
        """Begins an audit and returns its number; None if another is running, or began less than `interval_s` ago."""

    async def go_on(self, run: int) -> None:
        """Tells the others that this audit is still running: one that was silent for minutes counts as dead."""

    async def end(self, run: int, accounts: int, findings: Mapping[str, int]) -> None:
        """Keeps what an audit found."""

    async def last(self) -> AuditResult | None:
        """Returns the last audit that ended."""


class ChainTurn(Protocol):
    """The chains while one replica, and no other, makes them longer. What is appended is there when the turn ends without an error."""

    async def tips(self) -> Sequence[SignedHead]:
        """Returns the last head of each chain that has one."""

    async def next(self, after: int, limit: int) -> tuple[Sequence[Recorded], datetime]:
        """Returns the operations that follow the position `after`, in order, and the time.

        Only those before which none can appear any more: a write that was given a place and has not ended holds back all that follow.
        """

    async def append(self, links: Sequence[Link], heads: Sequence[SignedHead]) -> None:
        """Stores links and heads."""


class ChainWriter(Protocol):
    """The stored hash chains, to be made longer."""

    def turn(self) -> AbstractAsyncContextManager[ChainTurn | None]:
        """Yields None if another replica has the turn."""

    async def lag_s(self) -> float:
        """Returns the age of the oldest operation that is not linked yet, 0 if all are."""


class ChainSnapshot(Protocol):
    """One chain at one moment."""

    async def links(self, after: int, limit: int) -> Sequence[StoredLink]:
        """Returns the links that follow number `after`."""

    async def heads(self, after: int, to: int) -> Sequence[SignedHead]:
        """Returns the heads of the numbers above `after`, up to `to`."""

    async def unlinked(self) -> Sequence[tuple[AccountName | None, int]]:
        """Returns operations that have no link though the chains have come past them: account and version, at most some hundred."""


class ChainReader(Protocol):
    """The stored hash chains, to be verified."""

    def snapshot(self, chain: int) -> AbstractAsyncContextManager[ChainSnapshot]:
        """Returns the chain as it is when the block begins."""


class Seal(Protocol):
    """Signs heads, and knows its own signatures."""

    def sign(self, head: Head) -> SignedHead:
        """Signs with the current key."""

    def is_genuine(self, head: SignedHead) -> bool:
        """Tells whether the signature was made with one of the keys."""


class ProofObserver(Protocol):
    """Measures the proof."""

    def audited(self, result: AuditResult | None) -> None:
        """Takes note of the last audit."""

    def chained(self, lag_s: float) -> None:
        """Takes note of how far the chains are behind."""
