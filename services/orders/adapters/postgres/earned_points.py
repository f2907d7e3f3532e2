"""The points that orders earned, noted on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.adapters.postgres.order_rows import ORDER_COLUMNS, order_of, read_lines
from services.orders.adapters.postgres.order_writes import Announcement, OrderWrites
from services.orders.adapters.postgres.tables import customer_order
from services.orders.domain.ordering.changes import happened
from services.orders.domain.ordering.model import SYSTEM, EventKind, Order, PointsState
from services.orders.domain.points.purchase import Earned
from shared.jobs.queue import JobQueue

COLLECT_POINTS_JOB = "collect_points"


class PostgresPointsOfOrders:
    def __init__(self, engine: AsyncEngine, jobs: JobQueue, announcements: Sequence[Announcement]) -> None:
        self._engine = engine
        self._jobs = jobs
        self._announcements = announcements

    async def awaiting(self, order_id: UUID) -> Order | None:
        """Returns the order if it waits for its points, else None."""
        waiting = select(*ORDER_COLUMNS).where(
            customer_order.c.order_id == order_id, customer_order.c.points_state == int(PointsState.PENDING)
        )
        async with self._engine.connect() as connection:
            row = (await connection.execute(waiting)).first()
            return None if row is None else order_of(row, (await read_lines(connection, [order_id], lots=False))[order_id])

    async def registered(self, order_id: UUID) -> None:
        """Leaves the job that waits for the points."""
        async with self._engine.begin() as connection:
            await self._jobs.enqueue(connection, COLLECT_POINTS_JOB, order_id=str(order_id))

    async def conclude(self, order_id: UUID, earned: Earned) -> bool:
        """Notes what the order earned, with an event, if it still waits for it; False if it does not."""
        async with self._engine.begin() as connection:
            orders = OrderWrites(connection, self._announcements)
            before = await orders.lock(order_id)
            if before is None or before.points_state is not PointsState.PENDING:
                return False
            now = max((await connection.execute(select(func.clock_timestamp()))).scalar_one(), before.updated_at)
            state = PointsState.GRANTED if earned.points_minor else PointsState.NONE
            known = replace(before, points_state=state, points_minor=earned.points_minor)
            details = {"points_minor": str(earned.points_minor)}
            outcome = happened(before, known, EventKind.POINTS_GRANTED, SYSTEM, now, details=details)
            await orders.record(before, outcome.order, outcome.event)
            return True
