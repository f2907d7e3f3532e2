"""Orders that have units of recalled lots, and the job that tells them so."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, literal, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orders.adapters.postgres.lot_statements import ORDERS_WITH_LOT
from services.orders.adapters.postgres.order_writes import Announcement, OrderWrites
from services.orders.adapters.postgres.tables import order_event
from services.orders.domain.ordering.changes import happened
from services.orders.domain.ordering.model import SYSTEM, EventKind

TELL_OF_RECALL_JOB = "tell_of_recall"


class PostgresRecalledOrders:
    def __init__(self, engine: AsyncEngine, announcements: Sequence[Announcement]) -> None:
        self._engine = engine
        self._announcements = announcements

    async def having(self, sku: str, lot_number: str, *, after: UUID | None, limit: int) -> Sequence[UUID]:
        values = {"sku": sku, "lot_number": lot_number, "after": after, "limit": limit}
        async with self._engine.connect() as connection:
            return (await connection.exec_driver_sql(ORDERS_WITH_LOT, values)).scalars().all()

    async def tell(self, order_id: UUID, sku: str, lot_number: str, reason: str) -> bool:
        details = {"sku": sku, "lot": lot_number}
        async with self._engine.begin() as connection:
            orders = OrderWrites(connection, self._announcements)
            order = await orders.lock(order_id)
            if order is None or await _was_told(connection, order_id, details):
                return False
            now = max((await connection.execute(select(func.clock_timestamp()))).scalar_one(), order.updated_at)
            outcome = happened(order, order, EventKind.LOT_RECALLED, SYSTEM, now, reason=reason, details=details)
            await orders.record(order, outcome.order, outcome.event)
            return True


async def _was_told(connection: AsyncConnection, order_id: UUID, details: dict[str, str]) -> bool:
    told = select(order_event.c.number).where(
        order_event.c.order_id == order_id,
        order_event.c.kind == int(EventKind.LOT_RECALLED),
        order_event.c.details.op("@>")(literal(details, JSONB)),
    )
    return (await connection.execute(told)).first() is not None
