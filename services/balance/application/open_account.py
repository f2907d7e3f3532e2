"""Opens accounts and reads them."""

from __future__ import annotations

from services.balance.application.ports import Accounts
from services.balance.domain.errors import AccountNotFound, ProgramNotFound
from services.balance.domain.ledger import Account
from services.balance.domain.names import PROGRAMS, AccountName


class OpenAccount:
    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def open(self, name: AccountName) -> Account:
        """Opens the account, or returns it if it is open. Raises ProgramNotFound."""
        if name.program not in PROGRAMS:
            raise ProgramNotFound
        return await self._accounts.open(name)

    async def get(self, name: AccountName) -> Account:
        """Raises AccountNotFound."""
        account = await self._accounts.find(name)
        if account is None:
            raise AccountNotFound
        return account
