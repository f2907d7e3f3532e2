"""Reads a customer, alone or with one of their addresses."""

from __future__ import annotations

from uuid import UUID

from services.customers.application.ports import Customers
from services.customers.domain.address import Address
from services.customers.domain.customer import Customer
from services.customers.domain.errors import AddressNotFound, CustomerNotFound


class ReadCustomer:
    def __init__(self, customers: Customers) -> None:
        self._customers = customers

    async def get(self, customer_id: UUID) -> Customer:
        """Raises CustomerNotFound."""
        customer = await self._customers.find(customer_id)
        if customer is None:
            raise CustomerNotFound
        return customer

    async def with_address(self, customer_id: UUID, address_id: UUID | None) -> tuple[Customer, Address]:
        """`address_id` is None for an address that can't be theirs. Raises CustomerNotFound, AddressNotFound."""
        if address_id is None:
            await self.get(customer_id)
            raise AddressNotFound
        found = await self._customers.find_recipient(customer_id, address_id)
        if found is None:
            raise CustomerNotFound
        customer, address = found
        if address is None:
            raise AddressNotFound
        return customer, address
