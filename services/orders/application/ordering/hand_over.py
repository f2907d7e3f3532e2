"""Hands an order over at the counter, for the code that its customer says. Codes are short, so wrong ones are counted and told of.

A guess is counted before it is made: many at once, at any number of replicas, are not more than the limit. One that fails for something
else, or is broken off as it waits for the order, is taken off the count again if the code was right. A wrong one stays: else one would only
have to see to it that guesses fail, and could go on guessing.
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

    async def take(self, order_id: UUID) -> None:
        """Counts a guess. Raises RateLimited, and counts nothing, if there were too many."""

    async def give_back_if_right(self, order_id: UUID, pickup_code: str) -> None:
        """Takes a guess off the count, if this is the order's code."""

    async def forget(self, order_id: UUID) -> None:
        """The order has been handed over."""


class HandOver:
    def __init__(self, change: ChangeOrder, guesses: PickupGuesses) -> None:
        self._change = change
        self._guesses = guesses

    async def __call__(self, customer_id: str, order_id: UUID, command: Command, key: RequestKey) -> Order:
        """Raises RateLimited after too many wrong codes, PickupCodeWrong, and what ChangeOrder.request does."""
        await self._guesses.take(order_id)
        try:
            order = await self._change.request(customer_id, order_id, command, key)
        except PickupCodeWrong:
            log.warning("wrong pickup code", order=str(order_id), actor=command.caller.name)
            raise
        except BaseException:
            await self._guesses.give_back_if_right(order_id, command.pickup_code)
            raise
        await self._guesses.forget(order_id)
        return order
