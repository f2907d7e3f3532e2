"""Calls a lot back, in all locations, and finds out which orders have units of it."""

from __future__ import annotations

from services.orders.application.inventory.keep_lots import warn_of_shortfall
from services.orders.application.inventory.ports import StockWrite, StockWrites
from services.orders.application.inventory.stock import Cause
from services.orders.domain.inventory.errors import LotNotFound
from services.orders.domain.inventory.lots import recalled
from services.orders.domain.inventory.model import Kind, Lot, LotAndLevel, LotState, Recall
from shared.requests import RequestKey

ORDERS_MAX = 1000


class RecallLot:
    def __init__(self, writes: StockWrites) -> None:
        self._writes = writes

    async def recall(self, sku: str, lot_number: str, reason: str, key: RequestKey) -> Recall:
        """Raises LotNotFound, RequestIdReused. What was recalled before is answered with the orders of today."""
        async with self._writes.begin() as write:
            answer = await write.answered(key, Recall)
            if answer is not None:
                return answer
            lots = await write.lock_lots_numbered(sku, lot_number)
            if not lots:
                raise LotNotFound(sku=sku, lot=lot_number)
            changes = [(lot, await self._set_aside(write, lot, Cause(key.actor, "", reason))) for lot in lots]
            after = [stored.lot if stored else lot for lot, stored in changes]
            orders, total = await write.affected_orders(after, ORDERS_MAX)
            if total:
                await write.announce_recall(sku, lot_number, reason)
            answer = Recall(tuple(after), tuple(orders), total)
            await write.commit(key, Recall, answer)
        for lot, stored in changes:
            if stored:
                warn_of_shortfall(lot, stored)
        return answer

    async def _set_aside(self, write: StockWrite, lot: Lot, cause: Cause) -> LotAndLevel | None:
        if lot.state is LotState.RECALLED:
            return None
        return await write.store(lot, recalled(lot), Kind.RECALL, cause)
