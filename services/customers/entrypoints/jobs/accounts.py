"""Jobs of this service."""

from __future__ import annotations

from uuid import UUID

from services.customers.application.open_account import OpenAccount


class AccountJobs:
    def __init__(self, accounts: OpenAccount) -> None:
        self._accounts = accounts

    async def open_account(self, customer_id: str) -> None:
        """Opens the points account of a customer who has just registered."""
        await self._accounts.open(UUID(customer_id))
