"""Writes down what has run out: holds and lots. Reads and writes see it at once anyway; this makes it an operation in time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol
from uuid import uuid4

from services.balance.application.ports import Ledger
from services.balance.domain.commands import Settle
from services.balance.domain.decide import Group
from services.balance.domain.journal import SYSTEM
from services.balance.domain.names import AccountName


class Due(Protocol):
    """Where to look for what has run out."""

    async def accounts(self, limit: int) -> Sequence[AccountName]:
        """Returns at most `limit` accounts with something due."""


class SettleDue:
    """Any number of replicas may run this: whoever comes second finds nothing due."""

    def __init__(self, due: Due, ledger: Ledger) -> None:
        self._due = due
        self._ledger = ledger

    async def run_once(self, limit: int) -> int:
        """Settles at most `limit` accounts; returns how many. Raises what the ledger raises if it was none, though some are due.

        Each is a group of its own: they share batches all the same, and one that is locked keeps no other from being settled.
        """
        accounts = await self._due.accounts(limit)
        posts = [self._ledger.post(Group([_settle(account)])) for account in accounts]
        failures = [outcome for outcome in await asyncio.gather(*posts, return_exceptions=True) if isinstance(outcome, BaseException)]
        if failures and len(failures) == len(accounts):
            raise failures[0]
        return len(accounts) - len(failures)


def _settle(account: AccountName) -> Settle:
    return Settle(account=account, actor=SYSTEM, request_id=uuid4(), fingerprint=b"")
