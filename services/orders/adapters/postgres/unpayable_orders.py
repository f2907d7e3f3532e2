"""Orders under review that nobody can pay any more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.domain.ordering.model import Pending

# 7 is UNDER_REVIEW, of which there are few; of payments 7 and 8 are FAILED and CANCELLED.
_FOUND = text(f"""
select last.payment_id
  from customer_order
       cross join lateral (
           select payment_id, state, updated_at from payment
            where payment.order_id = customer_order.order_id
            order by created_at desc, payment_id desc limit 1
       ) as last
 where customer_order.state = 7 and customer_order.pending_operation <> {int(Pending.CANCELLING)}
   and last.state in (7, 8) and last.updated_at < clock_timestamp() - :ended_for
 order by customer_order.created_at
 limit :limit""")  # noqa: S608


class PostgresUnpayableOrders:
    """`UnpayableOrders`. By the index of orders by state, and that of an order's payments."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def payments_of(self, ended_for: timedelta, limit: int) -> Sequence[UUID]:
        async with self._engine.connect() as connection:
            return list((await connection.execute(_FOUND, {"ended_for": ended_for, "limit": limit})).scalars())
