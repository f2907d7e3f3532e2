"""Stock in the database, put there and looked at past the service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from tests.orders.world import new_sku, today


@dataclass(frozen=True, slots=True)
class LevelRow:
    on_hand: int
    reserved: int


def days(number: int) -> date:
    """Returns the day that is so many days from today."""
    return today() + timedelta(days=number)


async def add_location(connection: AsyncConnection) -> str:
    location = f"shop-{uuid4().hex[:12]}"
    await connection.exec_driver_sql("insert into location (location_id, display_name) values (%s, 'A shop')", (location,))
    return location


async def add_medicine(
    connection: AsyncConnection, sku: str = "", *, min_remaining_shelf_days: int = 0, rx_required: bool = False, price_minor: int = 499
) -> str:
    """Adds a medicine; returns its SKU."""
    sku = sku or new_sku()
    await connection.exec_driver_sql(
        """insert into medicine (sku, display_name, form, strength, currency, price_minor, rx_required, cold_chain, withdrawn, schedule,
                                 max_per_order, max_per_period, period_days, min_remaining_shelf_days)
           values (%s, 'Paracetamol', 'tablet', '500 mg', 'EUR', %s, %s, false, false, 0, 0, 0, 0, %s)""",
        (sku, price_minor, rx_required, min_remaining_shelf_days),
    )
    return sku


async def add_lot(
    connection: AsyncConnection,
    sku: str,
    quantity: int,
    *,
    location: str = "main",
    number: str = "",
    expires_on: date | None = None,
    state: str = "SELLABLE",
) -> UUID:
    """Adds a lot as if it had been received; unlike the service it takes one that nobody could sell."""
    lot_id, counted = uuid4(), quantity if state == "SELLABLE" else 0
    values: dict[str, Any] = {
        "lot": lot_id,
        "location": location,
        "sku": sku,
        "number": number or uuid4().hex[:8],
        "expires_on": expires_on or days(365),
        "state": state,
        "quantity": quantity,
        "counted": counted,
    }
    await connection.exec_driver_sql(
        """insert into stock_lot (lot_id, location_id, sku, lot_number, state, origin, expires_on, on_hand)
           values (%(lot)s, %(location)s, %(sku)s, %(number)s, %(state)s, 'SUPPLY', %(expires_on)s, %(quantity)s)""",
        values,
    )
    await connection.exec_driver_sql(
        """with level as (
               insert into stock_level as s (location_id, sku, on_hand) values (%(location)s, %(sku)s, %(counted)s)
               on conflict (location_id, sku) do update set on_hand = s.on_hand + excluded.on_hand returning *)
           insert into stock_movement (location_id, sku, kind, lot_id, on_hand_delta, reserved_delta, on_hand_after, reserved_after,
                                       lot_delta, reason, actor, reference)
           select location_id, sku, 'RECEIVE', %(lot)s::uuid, %(counted)s, 0, on_hand, reserved, %(quantity)s, '', 'tests', ''
           from level""",
        values,
    )
    return lot_id


async def level_row(connection: AsyncConnection, sku: str, location: str = "main") -> LevelRow:
    found = await connection.exec_driver_sql(
        "select on_hand, reserved from stock_level where location_id = %s and sku = %s", (location, sku)
    )
    row = found.one()
    return LevelRow(row.on_hand, row.reserved)


async def lot_units(connection: AsyncConnection, lot_id: UUID) -> int:
    found = await connection.exec_driver_sql("select on_hand from stock_lot where lot_id = %s", (lot_id,))
    units: int = found.scalar_one()
    return units


async def movements(connection: AsyncConnection, sku: str, location: str = "main") -> Sequence[Any]:
    """Returns the movements of a SKU, oldest first."""
    found = await connection.exec_driver_sql(
        "select * from stock_movement where location_id = %s and sku = %s order by movement_id", (location, sku)
    )
    return found.all()


async def broken_rules(connection: AsyncConnection, location: str) -> list[Any]:
    """Returns what does not add up in a location, counted the plain way."""
    found = await connection.exec_driver_sql(_RULES, {"location": location})
    return [tuple(row) for row in found]


_RULES = """
with m as (select *, sum(on_hand_delta) over w as on_hand_sum, sum(reserved_delta) over w as reserved_sum
           from stock_movement where location_id = %(location)s window w as (partition by sku order by movement_id))
select 'reserved', s.sku, s.reserved, x.n from stock_level s, lateral (
    select coalesce(sum(l.quantity), 0) as n from reservation r join reservation_line l using (reservation_id)
    where r.location_id = s.location_id and l.sku = s.sku and r.state = 'HELD') x
where s.location_id = %(location)s and s.reserved <> x.n
union all
select 'on_hand', s.sku, s.on_hand, x.n from stock_level s, lateral (
    select coalesce(sum(on_hand), 0) as n from stock_lot t
    where t.location_id = s.location_id and t.sku = s.sku and t.state = 'SELLABLE') x
where s.location_id = %(location)s and s.on_hand <> x.n
union all
select 'lot', t.sku, t.on_hand, x.n from stock_lot t, lateral (
    select coalesce(sum(lot_delta), 0) as n from stock_movement v where v.lot_id = t.lot_id) x
where t.location_id = %(location)s and t.on_hand <> x.n
union all
select 'on hand after ' || movement_id, sku, on_hand_after, on_hand_sum from m where on_hand_after <> on_hand_sum
union all
select 'reserved after ' || movement_id, sku, reserved_after, reserved_sum from m where reserved_after <> reserved_sum
union all
select 'bound', l.sku, l.quantity, x.n from reservation r join reservation_line l using (reservation_id), lateral (
    select coalesce(sum(b.quantity), 0) as n from reservation_lot b where b.reservation_id = l.reservation_id and b.sku = l.sku) x
where r.location_id = %(location)s and x.n <> case r.state when 'COMMITTED' then l.quantity else 0 end
"""
