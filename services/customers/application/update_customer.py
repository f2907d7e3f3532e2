"""Changes a customer's profile."""

from __future__ import annotations

from uuid import UUID

from services.customers.application.ports import Writes
from services.customers.domain.customer import Customer, ProfileChange, with_profile
from services.customers.domain.errors import CustomerNotFound
from shared.clock import Clock
from shared.requests import RequestKey


class UpdateCustomer:
    def __init__(self, writes: Writes, clock: Clock) -> None:
        self._writes = writes
        self._clock = clock

    async def update(self, customer_id: UUID, change: ProfileChange, etag: str, key: RequestKey) -> Customer:
        """Raises CustomerNotFound, EtagMismatch, RequestIdReused."""
        async with self._writes.customer() as write:
            answer = await write.answered(key)
            if answer is not None:
                return answer
            customer = await write.lock(customer_id)
            if customer is None:
                raise CustomerNotFound
            customer = with_profile(customer, change, etag, self._clock.now())
            await write.commit(key, customer)
            return customer
