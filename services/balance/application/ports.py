"""What the use cases need of the outside."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.balance.domain.decide import Group, Outcome
from services.balance.domain.journal import Loaded
from services.balance.domain.model import Account, Hold, Kind, Operation
from services.balance.domain.names import AccountName
from shared.requests import RequestKey


class Ledger(Protocol):
    """Where commands become operations."""

    async def post(self, group: Group) -> Sequence[Outcome]:
        """Returns the outcome of each of the group's commands, in order, once they are committed.

        Raises what the database raises; then it is unknown whether the commands happened, and they may be posted again.
        """


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account as of now. What has run out since its last operation counts as gone, though it is not written down yet."""

    account: Account
    available: int
    pending: int
    next_expiry: tuple[datetime, int] | None


class Accounts(Protocol):
    """Accounts, opened and read."""

    async def open(self, name: AccountName, key: RequestKey, view: Callable[[Loaded, datetime], AccountView]) -> AccountView:
        """Opens the account if it is not open; returns the `view` of it, a repeat what the first call did. Raises RequestIdReused."""

    async def load(self, name: AccountName) -> tuple[Loaded, datetime] | None:
        """Returns the account with all its open lots and the holds that have run out, and the time of that."""

    async def load_many(self, names: Sequence[AccountName]) -> Sequence[tuple[Loaded, datetime] | None]:
        """Does the same for many, in their order; None for those that were never opened."""


@dataclass(frozen=True, slots=True)
class StatementFilter:
    """Which operations of an account to list: of these kinds (all if empty), refusals too or not, with this reference, recorded at `start`
    or later and before `end`, below the version `before_version`; None and an empty reference leave a side open."""

    account: AccountName
    kinds: Collection[Kind]
    include_refused: bool
    before_version: int | None
    limit: int
    reference: str = ""
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class StatementPage:
    """A page, newest first, and the version below which the next one begins, None after the last.

    What one page searches is bounded: it may have fewer operations than asked for, even none, though more follow.
    """

    operations: Sequence[Operation]
    next_version: int | None


class Statements(Protocol):
    """Operations and holds, read back."""

    async def page(self, wanted: StatementFilter) -> StatementPage:
        """Returns a page of at most `limit` operations."""

    async def by_version(self, account: AccountName, version: int) -> Operation | None:
        """Returns the account's operation of this number."""

    async def by_request(self, account: AccountName, actor: str, request_id: UUID) -> Operation | None:
        """Returns the operation that this actor's request made."""

    async def hold(self, account: AccountName, hold_id: int) -> tuple[Hold, datetime] | None:
        """Returns the account's hold of this number, as it was last written, and the time of that."""
