"""Gives staff the next order to work on, and takes it back."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from services.orders.application.observer import Observer
from services.orders.application.ordering.ports import Locations, OrderTransaction, OrderTransactions
from services.orders.domain.errors import LocationNotFound, OrderNotFound, QueueEmpty
from services.orders.domain.ordering import claims
from services.orders.domain.ordering.changes import Outcome
from services.orders.domain.ordering.model import Order, State
from services.orders.domain.ordering.transitions import Caller
from shared.clock import Clock
from shared.requests import RequestKey


class ClaimOrders:
    def __init__(self, transactions: OrderTransactions, locations: Locations, clock: Clock, observer: Observer) -> None:
        self._transactions = transactions
        self._locations = locations
        self._clock = clock
        self._observer = observer

    async def claim_next(self, location_id: str, states: Collection[State], caller: Caller, key: RequestKey) -> Order:
        """Raises AccessDenied, LocationNotFound, QueueEmpty, RequestIdReused."""
        wanted = frozenset(states or {State.PAID})
        async with self._transactions.begin() as transaction:
            answer = await transaction.answered(key)
            if answer is not None:
                return answer
            claims.check_claimable(wanted, caller)
            order = await transaction.lock_next(location_id, wanted, not_of=caller.name)
            if order is not None:
                return await self._store(transaction, key, order, claims.claim(order, caller, self._clock.now()))
        # Asked only where nothing waits, and with no connection in hand that others may need.
        if not await self._locations.has_location(location_id):
            raise LocationNotFound
        raise QueueEmpty

    async def release(self, customer_id: str, order_id: UUID, caller: Caller, key: RequestKey) -> Order:
        """Raises OrderNotFound, NotClaimed, RequestIdReused."""
        async with self._transactions.begin() as transaction:
            answer = await transaction.answered(key)
            if answer is not None:
                return answer
            order = await transaction.lock(order_id)
            if order is None or order.customer_id != customer_id:
                raise OrderNotFound
            return await self._store(transaction, key, order, claims.release(order, caller, self._clock.now()))

    async def _store(self, transaction: OrderTransaction, key: RequestKey, before: Order, outcome: Outcome) -> Order:
        await transaction.store(before, outcome)
        await transaction.remember(key, outcome.order)
        await transaction.commit()
        self._observer.order_changed(before, outcome.order)
        return outcome.order
