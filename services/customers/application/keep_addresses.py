"""Adds, changes and removes addresses."""

from __future__ import annotations

from uuid import UUID, uuid4

from services.customers.application.ports import AddressWrite, Writes
from services.customers.domain.address import Address, Place, check_room, moved
from services.customers.domain.errors import AddressNotFound, CustomerNotFound
from shared.clock import Clock
from shared.requests import RequestKey


class KeepAddresses:
    def __init__(self, writes: Writes, clock: Clock) -> None:
        self._writes = writes
        self._clock = clock

    async def create(self, customer_id: UUID, place: Place, key: RequestKey) -> Address:
        """Raises CustomerNotFound, TooManyAddresses, RequestIdReused."""
        async with self._writes.addresses() as write:
            answer = await write.answered(key)
            if answer is not None:
                return answer
            kept = await write.count_locked(customer_id)
            if kept is None:
                raise CustomerNotFound
            check_room(kept)
            now = self._clock.now()
            address = Address(customer_id, uuid4(), place, created_at=now, updated_at=now)
            await write.commit_new(key, address)
            return address

    async def update(self, customer_id: UUID, address_id: UUID, place: Place, etag: str, key: RequestKey) -> Address:
        """Raises AddressNotFound, EtagMismatch, RequestIdReused."""
        async with self._writes.addresses() as write:
            answer = await write.answered(key)
            if answer is not None:
                return answer
            address = moved(await _locked(write, customer_id, address_id), place, etag, self._clock.now())
            await write.commit_changed(key, address)
            return address

    async def delete(self, customer_id: UUID, address_id: UUID, key: RequestKey) -> None:
        """Raises AddressNotFound, RequestIdReused."""
        async with self._writes.addresses() as write:
            if not await write.was_removed(key):
                await write.commit_removed(key, await _locked(write, customer_id, address_id))


async def _locked(write: AddressWrite, customer_id: UUID, address_id: UUID) -> Address:
    address = await write.lock(customer_id, address_id)
    if address is None:
        raise AddressNotFound
    return address
