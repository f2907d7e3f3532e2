"""What the use cases need of the outside."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from services.balance.domain.ledger import Account, Command, Decision, Kind, Operation
from services.balance.domain.names import AccountName


class Ledger(Protocol):
    """Where commands become operations: load -> decide -> store, in one transaction."""

    async def post(self, commands: Sequence[Command]) -> Decision:
        """Decides the commands under locks and stores what follows. Returns after the commit.

        Raises what the database raises; then it is unknown whether the commands happened, and they may be posted again.
        """


class Accounts(Protocol):
    """Accounts, opened and read one by one."""

    async def open(self, name: AccountName) -> Account:
        """Opens the account if it is not open; returns it."""

    async def find(self, name: AccountName) -> Account | None:
        """Returns the account as of its last operation."""


@dataclass(frozen=True, slots=True)
class StatementFilter:
    """Which operations of an account to list: of these kinds (all if empty), refusals too or not, below this version if given."""

    account: AccountName
    kinds: Collection[Kind]
    include_refused: bool
    before_version: int | None
    limit: int


class Statements(Protocol):
    """Operations, read back."""

    async def list(self, wanted: StatementFilter) -> Sequence[Operation]:
        """Returns at most `limit` operations, newest first."""

    async def by_version(self, account: AccountName, version: int) -> Operation | None:
        """Returns the account's operation of this number."""

    async def by_request(self, account: AccountName, actor: str, request_id: UUID) -> Operation | None:
        """Returns the operation that this actor's request made."""
