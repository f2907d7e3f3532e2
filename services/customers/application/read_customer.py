"""Reads a customer."""

from __future__ import annotations

from uuid import UUID

from services.customers.application.ports import Customers
from services.customers.domain.customer import Customer
from services.customers.domain.errors import CustomerNotFound


class ReadCustomer:
    def __init__(self, customers: Customers) -> None:
        self._customers = customers

    async def get(self, customer_id: UUID) -> Customer:
        """Raises CustomerNotFound."""
        customer = await self._customers.find(customer_id)
        if customer is None:
            raise CustomerNotFound
        return customer
