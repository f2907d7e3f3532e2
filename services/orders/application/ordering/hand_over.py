"""Hands an order over at the counter, for the code that its customer says. Codes are short, so wrong ones are counted and told of.

A wrong guess is counted before it is made: many at once, at any number of replicas, are not more than the limit, and nobody can go on
guessing by breaking off. A right one never is, whatever becomes of it, nor is it admitted once there were too many.
"""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

import structlog

from services.orders.application.ordering.change_order import ChangeOrder
from services.orders.domain.errors import PickupCodeWrong
from services.orders.domain.ordering.changes import Command
from services.orders.domain.ordering.model import Order
from shared.requests import RequestKey

log = structlog.get_logger()


class PickupGuesses(Protocol):
    """Counts guesses of the codes of orders that are READY, for all replicas."""

    async def admit(self, order_id: UUID, pickup_code: str) -> None:
        """Counts a guess unless it is right. Raises RateLimited, and counts nothing, if there were too many wrong ones."""

    async def forget(self, order_id: UUID) -> None:
        """The order has been handed over."""


class HandOver:
    def __init__(self, change: ChangeOrder, guesses: PickupGuesses) -> None:
        self._change = change
        self._guesses = guesses

    async def __call__(self, customer_id: str, order_id: UUID, command: Command, key: RequestKey) -> Order:
        """Raises RateLimited after too many wrong codes, PickupCodeWrong, and what ChangeOrder.request does."""
        await self._guesses.admit(order_id, command.pickup_code)
        try:
            order = await self._change.request(customer_id, order_id, command, key)
        except PickupCodeWrong:
            log.warning("wrong pickup code", order=str(order_id), actor=command.caller.name)
            raise
        await self._guesses.forget(order_id)
        return order
