"""Telling orders of a recall: all of them, once, and one that fails keeps nobody waiting."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from services.orders.application.inventory.tell_of_recall import ORDERS_AT_ONCE, TellOfRecall


class Orders:
    """Orders that have units of the lot; one of them can't be told."""

    def __init__(self, count: int, broken: int | None = None) -> None:
        self.ids = sorted(uuid4() for _ in range(count))
        self.broken = None if broken is None else self.ids[broken]
        self.told: list[UUID] = []

    async def having(self, sku: str, lot_number: str, *, after: UUID | None, limit: int) -> Sequence[UUID]:
        return [order_id for order_id in self.ids if after is None or order_id > after][:limit]

    async def tell(self, order_id: UUID, sku: str, lot_number: str, reason: str) -> bool:
        if order_id == self.broken:
            raise LookupError(order_id)
        if order_id in self.told:
            return False
        self.told.append(order_id)
        return True


async def test_all_orders_are_told_once_however_often_it_is_done() -> None:
    orders = Orders(2 * ORDERS_AT_ONCE + 1)
    tell = TellOfRecall(orders)

    assert await tell.tell("A", "L", "glass") == 2 * ORDERS_AT_ONCE + 1
    assert await tell.tell("A", "L", "glass") == 0
    assert orders.told == orders.ids


async def test_an_order_that_can_not_be_told_does_not_keep_the_others_from_it() -> None:
    orders = Orders(5, broken=1)

    with pytest.raises(LookupError):
        await TellOfRecall(orders).tell("A", "L", "glass")

    assert len(orders.told) == 4
