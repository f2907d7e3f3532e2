"""The statements that store lots and that find out what concerns many of them."""

from __future__ import annotations

# A lot whose level is locked, what it means for the level, and the movement.
STORE = """
with lot as (
    insert into stock_lot as t (lot_id, location_id, sku, lot_number, state, origin, expires_on, on_hand, created_at)
    values (%(id)s, %(location_id)s, %(sku)s, %(lot_number)s, %(state)s, %(origin)s, %(expires_on)s, %(on_hand)s, %(received_at)s)
    on conflict (lot_id) do update
        set state = excluded.state, on_hand = excluded.on_hand, version = t.version + 1, updated_at = clock_timestamp()
    returning lot_id, version
),
level as (
    update stock_level set on_hand = on_hand + %(counted)s, version = version + 1
    where location_id = %(location_id)s and sku = %(sku)s
    returning on_hand, reserved, reorder_point, version
),
moved as (
    insert into stock_movement (location_id, sku, kind, lot_id, on_hand_delta, reserved_delta, on_hand_after, reserved_after, lot_delta,
                                reason, actor, reference)
    select %(location_id)s, %(sku)s, %(kind)s, lot.lot_id, %(counted)s, 0, level.on_hand, level.reserved, %(delta)s,
           %(reason)s, %(actor)s, %(reference)s
    from lot, level
)
select level.*, lot.version as lot_version from lot, level
"""

AFFECTED_ORDERS = """
with affected as (
    select r.order_id, sum(b.quantity - b.returned_quantity)::bigint as quantity
    from reservation_lot b join reservation r using (reservation_id)
    where b.lot_id = any(%(lots)s::uuid[]) and b.quantity > b.returned_quantity and r.order_id is not null
    group by r.order_id
)
select o.customer_id, o.order_id, o.order_number, a.quantity, o.state, count(*) over () as total
from affected a join customer_order o using (order_id) order by o.created_at desc, o.order_id desc limit %(limit)s
"""

# Locks the levels of the lots that a sweep is about to take out of sale.
LOCK_EXPIRED = """
with due as materialized (
    select t.location_id, t.sku from stock_lot t join medicine m using (sku)
    where t.state = 'SELLABLE' and t.on_hand > 0 and t.expires_on < %(today)s::date + m.min_remaining_shelf_days
    limit %(limit)s
)
select s.location_id, s.sku from stock_level s
where (s.location_id, s.sku) in (select location_id, sku from due) order by s.location_id, s.sku for update of s
"""

# Under LOCK_EXPIRED, for the levels that it has locked.
EXPIRE_LOTS = """
with place as (select location_id, sku from unnest(%(locations)s::text[], %(skus)s::text[]) as t(location_id, sku)),
lot as (
    update stock_lot t set state = 'EXPIRED', version = t.version + 1, updated_at = clock_timestamp()
    from place p, medicine m
    where t.location_id = p.location_id and t.sku = p.sku and m.sku = t.sku
      and t.state = 'SELLABLE' and t.on_hand > 0 and t.expires_on < %(today)s::date + m.min_remaining_shelf_days
    returning t.*
),
level as (
    update stock_level s set on_hand = s.on_hand - d.units, version = s.version + 1
    from (select location_id, sku, sum(on_hand)::bigint as units from lot group by location_id, sku) d
    where s.location_id = d.location_id and s.sku = d.sku
    returning s.location_id, s.sku, s.on_hand, s.reserved, s.reorder_point, s.version
),
moved as (
    insert into stock_movement (location_id, sku, kind, lot_id, on_hand_delta, reserved_delta, on_hand_after, reserved_after, lot_delta,
                                reason, actor, reference)
    select l.location_id, l.sku, 'EXPIRE', l.lot_id, -l.on_hand, 0, s.on_hand + l.later, s.reserved, 0,
           %(reason)s, %(actor)s, %(reference)s
    from level s join (
        select *, coalesce(sum(on_hand) over (
            partition by location_id, sku order by expires_on, lot_id rows between 1 following and unbounded following), 0) as later
        from lot) l using (location_id, sku)
    order by l.location_id, l.sku, l.expires_on, l.lot_id
)
select l.location_id, l.sku, l.lot_id as id, l.lot_number, l.expires_on, l.on_hand, l.state, l.origin, l.created_at as received_at,
       l.version, s.on_hand as level_on_hand, s.reserved, s.reorder_point, s.version as level_version
from lot l join level s using (location_id, sku) order by l.location_id, l.sku, l.expires_on, l.lot_id
"""

ORDERS_WITH_LOT = """
select distinct r.order_id
from stock_lot t join reservation_lot b using (lot_id) join reservation r using (reservation_id)
where t.sku = %(sku)s and t.lot_number = %(lot_number)s and t.state = 'RECALLED' and b.quantity > b.returned_quantity
  and r.order_id > coalesce(%(after)s::uuid, '00000000-0000-0000-0000-000000000000')
order by r.order_id limit %(limit)s
"""
