"""Posting and reading, many callers at a time: concurrent calls share round trips and commits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from prometheus_client import CollectorRegistry
from psycopg import errors

from services.balance.adapters.postgres.accounts import AccountBatches, PostgresAccounts
from services.balance.adapters.postgres.ledger import PostgresLedger
from services.balance.application.ports import AccountView
from services.balance.domain.decide import Group, Outcome
from services.balance.domain.journal import Loaded
from services.balance.domain.names import AccountName
from shared.coalescer import Coalescer
from shared.grpc.call import current_deadline
from shared.observability.metrics import BatchMetrics
from shared.postgres.errors import translate_postgres_error
from shared.requests import RequestKey


def is_outage(error: Exception) -> bool:
    """Tells whether every command would fail like this: all but a lock that was waited for too long, which is one account's trouble."""
    return not isinstance(error, errors.LockNotAvailable) and translate_postgres_error(error) is not None


class CoalescedLedger:
    """Posts the groups of concurrent callers together."""

    def __init__(self, ledger: PostgresLedger, registry: CollectorRegistry) -> None:
        self._ledger = ledger
        self._coalescer = Coalescer(self._post, is_outage=is_outage, observer=BatchMetrics(registry, "ledger_post"))

    async def post(self, group: Group) -> Sequence[Outcome]:
        return await self._coalescer.submit(group, deadline=current_deadline.get())

    async def _post(self, groups: Sequence[Group]) -> Sequence[Sequence[Outcome]]:
        return (await self._ledger.post(groups)).outcomes

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Posts what was taken before the block ends."""
        async with self._coalescer:
            yield


class CoalescedAccounts:
    """Reads the accounts of concurrent callers together. A read joins the next batch, never the one in flight: it sees what its caller
    wrote before."""

    def __init__(self, accounts: PostgresAccounts, batches: AccountBatches, registry: CollectorRegistry) -> None:
        self._accounts = accounts
        self._coalescer = Coalescer(batches.load_many, is_outage=is_outage, observer=BatchMetrics(registry, "ledger_read"))

    async def open(self, name: AccountName, key: RequestKey, view: Callable[[Loaded, datetime], AccountView]) -> AccountView:
        return await self._accounts.open(name, key, view)

    async def load(self, name: AccountName) -> tuple[Loaded, datetime] | None:
        return await self._coalescer.submit(name, deadline=current_deadline.get())

    async def load_many(self, names: Sequence[AccountName]) -> Sequence[tuple[Loaded, datetime] | None]:
        return await self._accounts.load_many(names)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Answers what was asked before the block ends."""
        async with self._coalescer:
            yield
