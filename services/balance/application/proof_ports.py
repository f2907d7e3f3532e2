"""What the proof of the ledger, audit and hash chain, needs of the outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.balance.domain.books import Totals
from services.balance.domain.invariants import Finding
from services.balance.domain.names import AccountName

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

    started_at: datetime
    finished_at: datetime
    accounts: int
    findings: Mapping[str, int]


class AuditRuns(Protocol):
    """The periodic audits of the fleet."""

    def turn(self, interval_s: float) -> AbstractAsyncContextManager[bool]:
        """Yields whether an audit is due and no other replica is at it; none other begins one before the block ends."""

    async def last(self) -> AuditResult | None:
        """Returns the last audit that finished."""

    async def record(self, result: AuditResult) -> None:
        """Keeps a result."""
