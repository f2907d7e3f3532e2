"""Reads an account as it was."""

from __future__ import annotations

from datetime import datetime

from services.balance.application.history_ports import Past, PastAccount
from services.balance.domain.errors import AccountNotFound, BeforeHistory
from services.balance.domain.names import AccountName


class ReadPastAccount:
    def __init__(self, past: Past) -> None:
        self._past = past

    async def as_of(self, name: AccountName, moment: datetime) -> PastAccount:
        """Returns what was recorded by `moment`. Raises AccountNotFound, BeforeHistory if the account was opened later."""
        found = await self._past.as_of(name, moment)
        if found is None:
            raise AccountNotFound
        if moment < found.opened_at:
            raise BeforeHistory(opened=found.opened_at.isoformat())
        return found
