"""Says what a customer may do."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

import structlog

from services.customers.application.ports import Writes
from services.customers.domain.customer import Customer, with_roles
from services.customers.domain.errors import CustomerNotFound
from shared.clock import Clock
from shared.requests import RequestKey

log = structlog.get_logger()


class SetRoles:
    def __init__(self, writes: Writes, clock: Clock) -> None:
        self._writes = writes
        self._clock = clock

    async def set(self, customer_id: UUID, roles: Collection[str], key: RequestKey) -> Customer:
        """Raises CustomerNotFound, LastAdmin, RequestIdReused."""
        async with self._writes.customer() as write:
            answer = await write.answered(key)
            if answer is not None:
                return answer
            customer, admins = await write.lock_with_admins(customer_id)
            if customer is None:
                raise CustomerNotFound
            changed = with_roles(customer, roles, admins, self._clock.now())
            await write.commit(key, changed)
        log.info("roles set", customer=str(customer_id), by=key.actor, before=sorted(customer.roles), after=sorted(changed.roles))
        return changed
