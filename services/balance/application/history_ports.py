"""What reads of the past, of expiring lots and of streams need of the outside."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.balance.domain.model import Lot, Operation
from services.balance.domain.names import AccountName


@dataclass(frozen=True, slots=True)
class PastAccount:
    """An account as the last operation up to some time left it: `version` is that operation's, 0 if there was none."""

    name: AccountName
    opened_at: datetime
    version: int
    posted: int
    held: int
    updated_at: datetime


class Past(Protocol):
    """Accounts as they were."""

    async def as_of(self, name: AccountName, moment: datetime) -> PastAccount | None:
        """Returns what was recorded by `moment`, None if the account was never opened. Unless `moment` is yet to come, that stays so."""


@dataclass(frozen=True, slots=True, order=True)
class LotPosition:
    """A lot's place among all lots, soonest to expire first."""

    expires_at: datetime
    account_key: UUID
    lot_id: int


@dataclass(frozen=True, slots=True)
class ExpiringFilter:
    """Which lots to list: of `scope`, expiring after the place `after`, None for now, and before the time `before`."""

    scope: AccountName
    after: LotPosition | None
    before: datetime
    limit: int


@dataclass(frozen=True, slots=True)
class ExpiringLot:
    """A lot that will expire, as of now: holds that have run out no longer hold any of it."""

    account: AccountName
    lot: Lot
    position: LotPosition


class ExpiringLots(Protocol):
    """Lots by the time when they expire."""

    async def read(self, wanted: ExpiringFilter) -> Sequence[ExpiringLot]:
        """Returns the first lots after the place, soonest first; if `scope` is every account, those of other programmes too."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the stream of operations of one account, or of every account of a programme: after the operation of this number.

    An account's operations are numbered by their versions, those of all accounts by their place in the stream of all. None is the end of
    the stream at the time when it is read. A number found like this `is_beginning`: up to it, something may still be being recorded.
    """

    scope: AccountName
    after: int | None
    is_beginning: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """What follows a place: operations with their numbers, and the number to go on after; `more` if it is known that more follow."""

    operations: Sequence[tuple[int, Operation]]
    after: int
    more: bool


class OperationStream(Protocol):
    """All operations in an order that never changes: an operation comes after those that an account had before it."""

    async def read(self, places: Collection[Place]) -> Mapping[Place, Heard]:
        """Returns what follows each place, a bounded part of it; places of which nothing can be told yet are left out.

        Of None and of a beginning only the number to go on after is told: of a beginning once nothing is being recorded up to it any more.
        """


@dataclass(frozen=True, slots=True)
class VersionRange:
    """The operations of an account after `low` up to `high`."""

    account: AccountName
    low: int
    high: int


class OperationArchive(Protocol):
    """All operations, to be read in bulk."""

    async def histories(self, scope: AccountName, after: UUID | None) -> Sequence[VersionRange]:
        """Returns the whole histories of the next accounts by key, a bounded number; none after the last."""

    async def operations(self, ranges: Sequence[VersionRange]) -> Sequence[Operation]:
        """Returns all operations of the ranges, account by account, oldest first."""
