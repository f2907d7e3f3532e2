"""What a customer has ordered of medicines that are limited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orders.domain.ordering.creation import PeriodLimit

_LOCK = "select pg_advisory_xact_lock(hashtextextended('limits of ' || %(customer_id)s, 0))"
_ORDERED = """
select wanted.sku, sum(order_item.quantity)::bigint as quantity
from unnest(%(skus)s::text[], %(days)s::int[]) as wanted (sku, days)
join customer_order on customer_order.customer_id = %(customer_id)s
    and customer_order.created_at > %(now)s - wanted.days * interval '1 day'
    and customer_order.state not in (6, 9)
join order_item on order_item.order_id = customer_order.order_id and order_item.sku = wanted.sku
group by wanted.sku
"""


async def lock_ordered(connection: AsyncConnection, customer_id: str, limits: Sequence[PeriodLimit], now: datetime) -> Mapping[str, int]:
    """Returns the units of each SKU that the customer's orders of its period have, but for those that were cancelled or expired.

    Other orders of the customer that are limited wait until the transaction ends. The sums are read by a statement of their own, which
    sees what was committed before the lock was free.
    """
    await connection.exec_driver_sql(_LOCK, {"customer_id": customer_id})
    values = {"customer_id": customer_id, "now": now, "skus": [one.sku for one in limits], "days": [one.days for one in limits]}
    return {row.sku: row.quantity for row in await connection.exec_driver_sql(_ORDERED, values)}
