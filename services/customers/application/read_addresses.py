"""Reads addresses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from services.customers.application.ports import Addresses
from services.customers.domain.address import Address
from services.customers.domain.errors import AddressNotFound


class ReadAddresses:
    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses

    async def get(self, customer_id: UUID, address_id: UUID) -> Address:
        """Raises AddressNotFound."""
        address = await self._addresses.find(customer_id, address_id)
        if address is None:
            raise AddressNotFound
        return address

    async def page(
        self, customer_id: UUID, *, before: tuple[datetime, UUID] | None, limit: int
    ) -> tuple[Sequence[Address], Address | None]:
        """Returns a page, newest first, and its last address if there are more after it."""
        rows = await self._addresses.list(customer_id, before=before, limit=limit + 1)
        page = rows[:limit]
        return page, page[-1] if len(rows) > limit else None
