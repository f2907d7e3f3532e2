"""Where rewards and orders are kept: the port, and the store in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from deploy.local.accrual_sim.orders import Order
from deploy.local.accrual_sim.rewards import Reward


class Storage(Protocol):
    """Keeps rewards and orders. Each method is one atomic step."""

    async def add_reward(self, reward: Reward) -> bool:
        """Adds a reward; returns False, and changes nothing, if its match is registered."""

    async def rewards(self) -> Sequence[Reward]:
        """Returns all rewards."""

    async def add_order(self, order: Order) -> bool:
        """Adds an order; returns False, and changes nothing, if its number is registered."""

    async def put_order(self, order: Order) -> None:
        """Adds an order or replaces the one with its number."""

    async def order(self, number: str) -> Order | None:
        """Returns the order with that number, or None."""

    async def clear(self) -> None:
        """Forgets everything."""

    async def is_usable(self) -> bool:
        """Tells whether the store answers now."""


class MemoryStorage:
    """Forgets everything when the process ends."""

    def __init__(self) -> None:
        self._rewards: dict[str, Reward] = {}
        self._orders: dict[str, Order] = {}

    async def add_reward(self, reward: Reward) -> bool:
        return self._rewards.setdefault(reward.match, reward) is reward

    async def rewards(self) -> Sequence[Reward]:
        return tuple(self._rewards.values())

    async def add_order(self, order: Order) -> bool:
        return self._orders.setdefault(order.number, order) is order

    async def put_order(self, order: Order) -> None:
        self._orders[order.number] = order

    async def order(self, number: str) -> Order | None:
        return self._orders.get(number)

    async def clear(self) -> None:
        self._rewards.clear()
        self._orders.clear()

    async def is_usable(self) -> bool:
        return True
