"""Sees to it that every customer has a points account."""

from __future__ import annotations

from uuid import UUID

import structlog

from services.customers.application.ports import Customers, PointsAccounts
from services.customers.domain.names import account_request_id

log = structlog.get_logger()

BATCH = 100


class OpenAccount:
    def __init__(self, customers: Customers, accounts: PointsAccounts) -> None:
        self._customers = customers
        self._accounts = accounts

    async def open(self, customer_id: UUID) -> None:
        """Opens the customer's account and records that it is open. Repeatable. Raises what the balance service says."""
        await self._accounts.open(customer_id, account_request_id(customer_id))
        await self._customers.record_account(customer_id)

    async def open_missing(self, *, older_than_s: float) -> tuple[int, int]:
        """Opens the accounts of all who registered that long ago and have none; returns how many were opened, and how many failed."""
        opened = failed = 0
        after: UUID | None = None
        while batch := await self._customers.without_account(older_than_s=older_than_s, after=after, limit=BATCH):
            for customer_id in batch:
                done = await self._try(customer_id)
                opened, failed = opened + done, failed + (not done)
            after = batch[-1]
        return opened, failed

    async def _try(self, customer_id: UUID) -> bool:
        try:
            await self.open(customer_id)
        except Exception as error:  # noqa: BLE001  one customer's trouble must not keep the others waiting
            log.warning("account could not be opened", customer=str(customer_id), error=repr(error))
            return False
        return True
