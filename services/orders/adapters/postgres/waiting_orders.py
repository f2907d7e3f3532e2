"""Orders that wait for the sweeper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, TextClause, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql.elements import KeyedColumnElement

from services.orders.adapters.postgres.tables import customer_order
from services.orders.application.ordering.sweep_ports import Since, Waiting
from services.orders.domain.ordering.model import Pending, State

# As the partial indexes have it, with a time that is one for the statement: clock_timestamp(), which is not, would walk a whole index. An
# order that is READY and overdue has had its alert.
_PENDING = f"pending_operation in ({int(Pending.NONE)}, {int(Pending.CAPTURING)})"
_DUE = text(f"state in (1, 4, 7, 8) and {_PENDING} and not overdue and due_at < statement_timestamp()")
_CANCELLING = text(f"pending_operation <> 0 and pending_operation = {int(Pending.CANCELLING)}")
_LATE = text("""
    select state, extract(epoch from clock_timestamp() - min(due_at)) as late_s
      from customer_order
     where state in (2, 3, 4, 7, 8) and due_at < statement_timestamp()
     group by state
     union all
    select state, extract(epoch from clock_timestamp() - min(due_at))
      from customer_order
     where state = 1 and due_at < statement_timestamp()
     group by state""")
_SHORT = text("select count(*) from stock_level where reserved > on_hand")


class PostgresWaitingOrders:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def due(self, after: Since | None, limit: int) -> Sequence[Waiting]:
        return await self._find(_DUE, customer_order.c.due_at, after, limit)

    async def cancelling(self, after: Since | None, limit: int) -> Sequence[Waiting]:
        return await self._find(_CANCELLING, customer_order.c.pending_since, after, limit)

    async def _find(self, condition: TextClause, since: KeyedColumnElement[Any], after: Since | None, limit: int) -> Sequence[Waiting]:
        """Locked for this statement only: to leave out those that somebody has locked."""
        conditions: list[ColumnElement[bool] | TextClause] = [condition]
        if after is not None:
            conditions.append(tuple_(since, customer_order.c.order_id) > after)
        query = (
            select(customer_order.c.order_id, customer_order.c.state, since.label("since"))
            .where(*conditions)
            .order_by(since, customer_order.c.order_id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        async with self._engine.begin() as connection:
            rows = (await connection.execute(query)).all()
        return [Waiting(row.order_id, State(row.state), row.since) for row in rows]

    async def late_s(self) -> Mapping[State, float]:
        async with self._engine.connect() as connection:
            return {State(row.state): float(row.late_s) for row in await connection.execute(_LATE)}

    async def short_levels(self) -> int:
        async with self._engine.connect() as connection:
            return int((await connection.execute(_SHORT)).scalar_one())
