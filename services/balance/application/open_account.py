"""Opens accounts and reads them as of now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from services.balance.application.ports import Accounts, AccountView
from services.balance.application.programs import Programs
from services.balance.domain.errors import AccountNotFound
from services.balance.domain.journal import Journal, Loaded
from services.balance.domain.model import Account, Lot
from services.balance.domain.names import AccountName
from shared.requests import RequestKey


class OpenAccount:
    def __init__(self, accounts: Accounts, programs: Programs) -> None:
        self._accounts = accounts
        self._programs = programs

    async def open(self, name: AccountName, key: RequestKey) -> AccountView:
        """Opens the account, or returns it if it is open; a repeat returns what the first call did.

        Raises ProgramNotFound, RequestIdReused.
        """
        await self._programs.require(name.program)
        return await self._accounts.open(name, key, view)

    async def get(self, name: AccountName) -> AccountView:
        """Raises AccountNotFound."""
        found = await self._accounts.load(name)
        if found is None:
            raise AccountNotFound
        return view(*found)

    async def get_many(self, names: Sequence[AccountName]) -> Sequence[AccountView]:
        """Returns those of the accounts that were opened, in order."""
        return [view(*found) for found in await self._accounts.load_many(names) if found is not None]


def view(loaded: Loaded, now: datetime) -> AccountView:
    """Returns what a command would find, had it come at `now`; nothing is written."""
    journal = Journal(loaded, now)
    journal.settle()
    lots = [lot for lot in journal.lots.values() if lot.free > 0]
    return AccountView(
        _unwritten(journal, loaded.account),
        available=max(0, journal.spendable()),
        pending=sum(lot.free for lot in lots if lot.available_at > journal.now),
        next_expiry=_next_expiry(lots),
    )


def _unwritten(journal: Journal, account: Account) -> Account:
    """Returns the account with its numbers as of now, under the version that is really written."""
    return replace(journal.after(), version=account.version, updated_at=account.updated_at)


def _next_expiry(lots: list[Lot]) -> tuple[datetime, int] | None:
    soonest = min((lot.expires_at for lot in lots if lot.expires_at is not None), default=None)
    return (soonest, sum(lot.free for lot in lots if lot.expires_at == soonest)) if soonest else None
