"""Tells the orders that have units of a recalled lot: an event each, which notifies whoever is notified of events.

After the recall and one order at a time: orders are locked before stock everywhere. It may be done again, and goes on where it ended.
"""

from __future__ import annotations

import structlog

from services.orders.application.inventory.ports import RecalledOrders

log = structlog.get_logger()

ORDERS_AT_ONCE = 100


class TellOfRecall:
    def __init__(self, orders: RecalledOrders) -> None:
        self._orders = orders

    async def tell(self, sku: str, lot_number: str, reason: str) -> int:
        """Returns how many orders did not know of it. One that can't be told does not keep the others waiting: its error is raised last."""
        told, failure, after = 0, None, None
        while found := await self._orders.having(sku, lot_number, after=after, limit=ORDERS_AT_ONCE):
            for order_id in found:
                try:
                    told += await self._orders.tell(order_id, sku, lot_number, reason)
                except Exception as error:  # noqa: BLE001  whatever is wrong with one, the others have to know
                    log.warning("an order could not be told of a recall", order_id=str(order_id), error=repr(error))
                    failure = error
            after = found[-1]
        if failure is not None:
            raise failure
        return told
