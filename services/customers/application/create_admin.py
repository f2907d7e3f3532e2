"""Makes the first administrator, who then gives roles to others."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from uuid import UUID, uuid4

from services.customers.application.ports import HashingTurns, Registrations, Writes
from services.customers.domain.customer import ADMIN, CUSTOMER, Customer, with_roles
from services.customers.domain.errors import CustomerNotFound
from services.customers.domain.login import registrable_login
from shared.clock import Clock
from shared.requests import RequestKey

# Who did it, where the answer is remembered: nobody of ours has this name.
OPERATOR = "operators/create-admin"


class CreateAdmin:
    def __init__(self, registrations: Registrations, turns: HashingTurns, writes: Writes, clock: Clock) -> None:
        self._registrations = registrations
        self._turns = turns
        self._writes = writes
        self._clock = clock

    async def create(self, login: str, read_password: Callable[[], str]) -> tuple[UUID, bool]:
        """Registers an administrator, or makes one of who has the login; returns their id, and whether they are new.

        The password is read only for a new one: that of somebody who has registered stays as it is. Raises InvalidRequest.
        """
        login = registrable_login(login)
        if await self._registrations.find(login) is None:
            customer_id = await self._register(login, read_password())
            if customer_id is not None:
                return customer_id, True
        known = await self._registrations.find(login)
        if known is None:
            raise CustomerNotFound
        await self._promote(known.customer_id)
        return known.customer_id, False

    async def _register(self, login: str, password: str) -> UUID | None:
        now = self._clock.now()
        admin = Customer(uuid4(), login, created_at=now, updated_at=now, roles=frozenset({CUSTOMER, ADMIN}))
        password_hash = await self._turns.in_turn(lambda hasher: hasher.hash(password))
        return admin.id if await self._registrations.add(admin, password_hash, uuid4()) else None

    async def _promote(self, customer_id: UUID) -> None:
        key = RequestKey(OPERATOR, uuid4(), hashlib.sha256(customer_id.bytes).digest())
        async with self._writes.customer() as write:
            await write.answered(key)
            customer, admins = await write.lock_with_admins(customer_id)
            if customer is None:
                raise CustomerNotFound
            await write.commit(key, with_roles(customer, {*customer.roles, ADMIN}, admins, self._clock.now()))
