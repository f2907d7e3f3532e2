"""The feed of events: `order_feed`, and what waits for a place in it, `order_outbox`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, and_, func, select, text, true
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.adapters.postgres.order_rows import EVENT_COLUMNS, event_of
from services.orders.adapters.postgres.tables import customer_order, order_event, order_feed
from services.orders.application.ordering.feed_ports import FedEvent, FeedPart, FeedScope
from services.orders.domain.errors import ResumeTokenTooOld

# What one read goes through at most.
PART = 500

_END = select(func.coalesce(func.max(order_feed.c.position), 0))
_BOUNDS = select(
    func.coalesce(func.min(order_feed.c.position), 0).label("first"), func.coalesce(func.max(order_feed.c.position), 0).label("last")
).cte("bounds")

_SOMETHING_WAITS = text("select exists (select from order_outbox)")
# Places are given by one at a time, whose commit is seen before the lock is free: a place is seen only after all lower ones. They follow
# each other without gaps, which no sequence promises: so who has read up to a place knows the next one, and sees when it is gone.
_TAKE_TURN = text("select pg_try_advisory_xact_lock(hashtextextended('galen orders feed', 0))")
_MOVE = text("""
    with following as (select order_id, number from order_outbox order by order_id, number limit :limit),
    moved as (
        delete from order_outbox using following
        where order_outbox.order_id = following.order_id and order_outbox.number = following.number
        returning order_outbox.order_id, order_outbox.number
    )
    insert into order_feed (position, order_id, number, customer_id, location_id) overriding system value
    select (select coalesce(max(position), 0) from order_feed) + row_number() over (order by order_id, number),
        order_id, number, customer_id, location_id
    from moved join customer_order using (order_id)
""")
# The last place always stays: by it a token from before all that was removed is known.
_PRUNE = text("""
    delete from order_feed where position < (select max(position) from order_feed) and position in (
        select position from (select position, created_at from order_feed order by position limit :limit) as oldest
        where created_at < statement_timestamp() - make_interval(days => :kept_days)
    )
""")
# A sample is enough: whatever waits while nothing is moved soon is as old as the rest.
_LAG = text("""
    select coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8
    from (select order_id, number from order_outbox limit 1000) as waiting join order_event using (order_id, number)
""")


class PostgresFeed:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def end(self) -> int:
        async with self._engine.connect() as connection:
            end: int = (await connection.execute(_END)).scalar_one()
            return end

    async def read(self, scope: FeedScope, after: int) -> FeedPart:
        """Goes through the next PART events, of the customer if there is one; those of other locations are left out."""
        passed = select(order_feed).where(order_feed.c.position > after)
        if scope.customer_id is not None:
            passed = passed.where(order_feed.c.customer_id == scope.customer_id)
        place = passed.order_by(order_feed.c.position).limit(PART).subquery("place")
        is_here = true() if scope.location_id is None else place.c.location_id == scope.location_id
        told = and_(is_here, order_event.c.order_id == place.c.order_id, order_event.c.number == place.c.number)
        columns = (place.c.position, place.c.customer_id, place.c.location_id, customer_order.c.order_number, *EVENT_COLUMNS)
        query = (
            select(_BOUNDS.c.first, _BOUNDS.c.last, *columns)
            .select_from(_BOUNDS.outerjoin(place, true()))
            .outerjoin(order_event, told)
            .outerjoin(customer_order, customer_order.c.order_id == order_event.c.order_id)
            .order_by(place.c.position)
        )
        async with self._engine.connect() as connection:
            return _part((await connection.execute(query)).all(), after)


def _part(rows: Sequence[Row[Any]], after: int) -> FeedPart:
    """Takes the part apart; there is always a row, if only with the bounds."""
    if rows[0].first > after + 1 or after > rows[0].last:
        raise ResumeTokenTooOld
    events = [_fed(row) for row in rows if row.order_id is not None]
    is_full = len(rows) == PART and rows[-1].position is not None
    return FeedPart(events, rows[-1].position if is_full else rows[0].last)


def _fed(row: Row[Any]) -> FedEvent:
    return FedEvent(row.position, row.customer_id, row.location_id, row.order_number, event_of(row))


class PostgresFeedWriter:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def move(self, limit: int) -> int:
        async with self._engine.connect() as connection:
            waits = await connection.scalar(_SOMETHING_WAITS)
            if not waits or not await connection.scalar(_TAKE_TURN):
                return 0
            moved = await connection.execute(_MOVE, {"limit": limit})
            await connection.commit()
            return moved.rowcount

    async def prune(self, kept_days: int, limit: int) -> int:
        async with self._engine.begin() as connection:
            return (await connection.execute(_PRUNE, {"kept_days": kept_days, "limit": limit})).rowcount

    async def lag_s(self) -> float:
        async with self._engine.connect() as connection:
            lag: float = (await connection.execute(_LAG)).scalar_one()
            return lag
