"""Compares levels with holds, lots and movements, in one snapshot."""

# ruff: noqa: S608  nothing but constants of this module is put into a statement
from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.domain.inventory.model import Difference, Rule

# It reads everything there is; nobody waits for it.
STATEMENT_TIMEOUT = "10min"

_HERE = "(%(location)s::text is null or {table}.location_id = %(location)s)"

_QUERIES = {
    Rule.RESERVED_IS_SUM_OF_HELD_LINES: f"""
with held as (
    select r.location_id, l.sku, sum(l.quantity)::bigint as units from reservation r join reservation_line l using (reservation_id)
    where r.state = 'HELD' and {_HERE.format(table="r")} group by r.location_id, l.sku
),
level as (select * from stock_level s where {_HERE.format(table="s")})
select location_id, sku, coalesce(h.units, 0) as expected, coalesce(s.reserved, 0) as actual
from held h full join level s using (location_id, sku)
where coalesce(h.units, 0) <> coalesce(s.reserved, 0) order by location_id, sku
""",
    Rule.ON_HAND_IS_SUM_OF_SELLABLE_LOTS: f"""
with lot as (
    select t.location_id, t.sku, sum(t.on_hand)::bigint as units from stock_lot t
    where t.state = 'SELLABLE' and t.on_hand > 0 and {_HERE.format(table="t")} group by t.location_id, t.sku
),
level as (select * from stock_level s where {_HERE.format(table="s")})
select location_id, sku, coalesce(l.units, 0) as expected, coalesce(s.on_hand, 0) as actual
from lot l full join level s using (location_id, sku)
where coalesce(l.units, 0) <> coalesce(s.on_hand, 0) order by location_id, sku
""",
    Rule.LEVEL_IS_LAST_MOVEMENT: f"""
select s.location_id, s.sku, v.expected, v.actual
from stock_level s
left join lateral (
    select on_hand_after, reserved_after from stock_movement m
    where m.location_id = s.location_id and m.sku = s.sku order by m.movement_id desc limit 1) last on true
cross join lateral (
    values (coalesce(last.on_hand_after, 0), s.on_hand), (coalesce(last.reserved_after, 0), s.reserved)) as v(expected, actual)
where {_HERE.format(table="s")} and v.expected <> v.actual order by s.location_id, s.sku
""",
    Rule.LOT_IS_SUM_OF_MOVEMENTS: f"""
with moved as (
    select m.lot_id, sum(m.lot_delta)::bigint as units from stock_movement m
    where m.lot_id is not null and {_HERE.format(table="m")} group by m.lot_id
)
select t.location_id, t.sku, coalesce(m.units, 0) as expected, t.on_hand as actual
from stock_lot t left join moved m using (lot_id)
where {_HERE.format(table="t")} and t.on_hand <> coalesce(m.units, 0) order by t.location_id, t.sku, t.expires_on, t.lot_id
""",
}

_COUNT = f"select count(*) from stock_level s where {_HERE.format(table='s')}"


class PostgresStockComparison:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def compare(self, location_id: str | None) -> tuple[Sequence[Difference], int]:
        found: list[Difference] = []
        values = {"location": location_id}
        async with self._engine.connect() as connection:
            await connection.exec_driver_sql("set transaction isolation level repeatable read, read only")
            await connection.exec_driver_sql(f"set local statement_timeout = '{STATEMENT_TIMEOUT}'")
            for rule, query in _QUERIES.items():
                rows = await connection.exec_driver_sql(query, values)
                found += [Difference(row.location_id, row.sku, rule, row.expected, row.actual) for row in rows]
            return found, (await connection.exec_driver_sql(_COUNT, values)).scalar_one()
