"""Pages of orders, newest first, at a cost that does not grow with the number of orders.

What is common is found soon among the newest orders, so they are looked at first, along an index, up to FIRST_LOOKS of them. What is rare
may lie a million orders back; but SKUs and words have indexes of their own, and if those know few matches, these are all that is needed.
What is neither is looked for further, up to LOOKS orders, and the page ends there, however short it is: the next one goes on from there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, and_, any_, bindparam, func, literal, literal_column, or_, select, text, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import Uuid

from services.orders.adapters.postgres.order_conditions import (
    TRIED_COLUMNS,
    Conditions,
    conditions_of,
    skus_of,
    words_condition,
)
from services.orders.adapters.postgres.order_rows import read_lines
from services.orders.adapters.postgres.orders import WITH_PAYMENT, order_with_payment
from services.orders.adapters.postgres.tables import customer_order, order_item
from services.orders.application.ordering.read_ports import OrderFilter, OrderPage, OrderSearch, Place
from services.orders.domain.ordering.model import Order

FIRST_LOOKS = 1_000
LOOKS = 10_000
FEW = 1_000
# A message of so many lines has about a megabyte; gRPC's own limit for what a client receives is four.
LINES = 5_000
ORDERS_AT_ONCE = 50
# A word is rare if no larger part of the orders has it.
RARE = 0.05

_PLACE = (customer_order.c.created_at, customer_order.c.order_id)
_NEWEST = tuple(column.desc() for column in _PLACE)
_IS_ONE_OF = customer_order.c.order_id == any_(bindparam("order_ids", type_=ARRAY(Uuid)))
_BY_ID = WITH_PAYMENT.where(_IS_ONE_OF)
# The planner takes words that it knows nothing of for common ones, and would rather go through the whole table than use their index.
_USE_INDEXES = text("select set_config('enable_seqscan', 'off', true)")


@dataclass(frozen=True, slots=True)
class _Hunt:
    """What to look for, and how much of it. `rare` returns all places that match, or None if they may not be few."""

    conditions: Conditions
    rare: Callable[[AsyncConnection, _Hunt], Awaitable[Sequence[Place] | None]]
    after: Place | None
    limit: int


class PostgresOrderPages:
    """A page is read as of one moment."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine.execution_options(isolation_level="REPEATABLE READ")

    async def list(self, wanted: OrderFilter) -> OrderPage:
        rare = partial(_with_rare_sku, skus_of(wanted.terms))
        return await self._page(_Hunt(conditions_of(wanted.customer_id, wanted.terms), rare, wanted.after, wanted.limit))

    async def search(self, wanted: OrderSearch) -> OrderPage:
        if not wanted.words:
            return OrderPage((), None)
        conditions = Conditions((), (words_condition(wanted.words),))
        return await self._page(_Hunt(conditions, partial(_with_rare_words, wanted.words), wanted.after, wanted.limit))

    async def _page(self, hunt: _Hunt) -> OrderPage:
        async with self._engine.connect() as connection:
            places, following = await _places(connection, hunt)
            orders = await _orders(connection, [order_id for _, order_id in places])
            return OrderPage(orders, following if len(orders) == len(places) else places[len(orders) - 1])


async def _orders(connection: AsyncConnection, order_ids: Sequence[UUID]) -> Sequence[Order]:
    """Returns the orders, in the order of the ids; not the last ones if all together have too many lines for one message."""
    if not order_ids:
        return ()
    rows = {row.order_id: row for row in await connection.execute(_BY_ID, {"order_ids": order_ids})}
    orders: list[Order] = []
    room = LINES
    for first in range(0, len(order_ids), ORDERS_AT_ONCE):
        part = order_ids[first : first + ORDERS_AT_ONCE]
        lines = await read_lines(connection, part, lots=False)
        for order_id in part:
            room -= len(lines[order_id])
            if room < 0 and orders:
                return orders
            orders.append(order_with_payment(rows[order_id], lines[order_id]))
    return orders


async def _places(connection: AsyncConnection, hunt: _Hunt) -> tuple[Sequence[Place], Place | None]:
    """Returns the places of a page, and where the next one begins."""
    if not hunt.conditions.matching:
        found = _as_places(await connection.execute(_walk(hunt).limit(hunt.limit + 1)))
        return _cut(found, None, hunt.limit)
    found, end = await _look(connection, hunt, FIRST_LOOKS)
    if end is None or len(found) >= hunt.limit:
        return _cut(found, end, hunt.limit)
    if len(found) * LOOKS < hunt.limit * FIRST_LOOKS:
        few = await hunt.rare(connection, hunt)
        if few is not None:
            return _cut(few, None, hunt.limit)
    more, end = await _look(connection, replace(hunt, after=end, limit=hunt.limit - len(found)), LOOKS - FIRST_LOOKS)
    return _cut([*found, *more], end, hunt.limit)


def _cut(found: Sequence[Place], end: Place | None, limit: int) -> tuple[Sequence[Place], Place | None]:
    """Returns what a page has room for; the next one begins behind it, or at the end of what was looked at."""
    return (found[:limit], found[limit - 1]) if len(found) > limit else (found, end)


async def _look(connection: AsyncConnection, hunt: _Hunt, looks: int) -> tuple[Sequence[Place], Place | None]:
    """Tries the next orders. Returns those that match, at most one more than the limit, and where the last look fell, None after the last.

    The number of looks stands in the statement itself: a planner that does not know it may want to sort all orders.
    """
    walked = _walk(hunt).add_columns(*TRIED_COLUMNS).limit(literal_column(str(looks))).subquery()
    tried = select(*walked.c, func.row_number().over().label("look")).subquery().c
    matches = and_(*(condition(tried) for condition in hunt.conditions.matching))
    is_last = tried.look == literal_column(str(looks))
    query = select(tried.created_at, tried.order_id, matches.label("matches"), is_last.label("is_last")).where(or_(matches, is_last))
    rows = (await connection.execute(query.order_by(tried.created_at.desc(), tried.order_id.desc()).limit(hunt.limit + 1))).all()
    end = _as_places(rows[-1:])[0] if rows and rows[-1].is_last else None
    return _as_places(row for row in rows if row.matches), end


def _walk(hunt: _Hunt) -> Select[Any]:
    """Returns the places along the hunt's index, newest first."""
    query = select(*_PLACE).where(*(condition(customer_order.c) for condition in hunt.conditions.along)).order_by(*_NEWEST)
    return _older(query, hunt.after)


def _older(query: Select[Any], after: Place | None) -> Select[Any]:
    if after is None:
        return query
    place = tuple_(*(literal(value, column.type) for value, column in zip(after, _PLACE, strict=True)))
    return query.where(tuple_(*_PLACE) < place)


def _as_places(rows: Iterable[Row[Any]]) -> Sequence[Place]:
    return [(row.created_at, row.order_id) for row in rows]


async def _with_rare_sku(skus: Sequence[str], connection: AsyncConnection, hunt: _Hunt) -> Sequence[Place] | None:
    """Finds the orders through a SKU that few of them have."""
    for sku in skus:
        having = select(order_item.c.order_id).where(order_item.c.sku == sku).limit(literal_column(str(FEW + 1)))
        order_ids = (await connection.scalars(having)).all()
        if len(order_ids) <= FEW:
            conditions = [condition(customer_order.c) for condition in (*hunt.conditions.along, *hunt.conditions.matching)]
            query = _older(select(*_PLACE).where(_IS_ONE_OF, *conditions), hunt.after).order_by(*_NEWEST).limit(hunt.limit + 1)
            return _as_places(await connection.execute(query, {"order_ids": order_ids}))
    return None


async def _with_rare_words(words: Sequence[str], connection: AsyncConnection, hunt: _Hunt) -> Sequence[Place] | None:
    """Finds the orders through the index of words. The more orders have a word, the longer that takes: only rare ones are looked up."""
    rare = await _rare_words(words, connection, hunt)
    if not rare:
        return None
    await connection.execute(_USE_INDEXES)
    # A stripped vector is the same one, but the index is not asked about it.
    all_words = words_condition(words)({"search": func.strip(customer_order.c.search)})
    query = select(*_PLACE).where(words_condition(rare)(customer_order.c), all_words)
    found = _as_places(await connection.execute(_older(query, hunt.after).limit(literal_column(str(FEW + 1)))))
    return sorted(found, reverse=True) if len(found) <= FEW else None


async def _rare_words(words: Sequence[str], connection: AsyncConnection, hunt: _Hunt) -> Sequence[str]:
    """Returns the words that few of the next orders have."""
    sample = _walk(hunt).add_columns(customer_order.c.search).limit(literal_column(str(FIRST_LOOKS))).subquery().c
    counts = select(*(func.count().filter(words_condition([word])(sample)) for word in words))
    return [word for word, count in zip(words, (await connection.execute(counts)).one(), strict=True) if count <= FIRST_LOOKS * RARE]
