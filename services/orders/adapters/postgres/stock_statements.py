"""The statements that hold, sell and free stock.

The row of a stock level is the lock of everything beneath it: its lots, and the numbers that movements state as those "after" them. It is
taken first, for several SKUs in their order, and within a CTE that is MATERIALIZED, so that the planner can't lock in an order of its own.

A statement sees what was committed when it began. Where it had to wait for a level, it knows that row as it is now, but the lots as they
were. So what decides from lots comes in a statement of its own after the levels are locked.
"""

# ruff: noqa: S608  nothing but constants of this module is put into a statement
from __future__ import annotations

_MOVEMENT = """insert into stock_movement (location_id, sku, kind, lot_id, on_hand_delta, reserved_delta, on_hand_after, reserved_after,
                            lot_delta, reason, actor, reference)"""
_CAUSE = "%(reason)s, %(actor)s, %(reference)s"

# Units of sellable lots that can't be sold any more: nobody has moved them out yet.
_TOO_SHORT = """(select coalesce(sum(t.on_hand), 0) from medicine m join stock_lot t using (sku)
                 where m.sku = {level}.sku and t.location_id = %(location)s and t.state = 'SELLABLE' and t.on_hand > 0
                   and t.expires_on < current_date + m.min_remaining_shelf_days)"""

_ASKED = """asked as materialized (
    select sku, quantity from unnest(%(skus)s::text[], %(quantities)s::bigint[]) as t(sku, quantity)
)"""

# Takes the units of all lines, or of none.
_HOLD = f"""
with {_ASKED},
locked as materialized (
    select s.sku, s.on_hand - s.reserved as available, a.quantity
    from asked a join stock_level s on s.location_id = %(location)s and s.sku = a.sku
    order by s.sku for update of s
),
verdict as (
    select count(*) = (select count(*) from asked) and bool_and(k.available - {_TOO_SHORT.format(level="k")} >= k.quantity) as ok
    from locked k
),
made as (
    insert into reservation (reservation_id, location_id, order_id, state, expires_at)
    select %(reservation)s::uuid, %(location)s, %(order)s::uuid, 'HELD', %(expires_at)s::timestamptz from verdict where ok
),
line as (
    insert into reservation_line (reservation_id, sku, quantity)
    select %(reservation)s::uuid, a.sku, a.quantity from asked a, verdict v where v.ok
),
level as (
    update stock_level s set reserved = s.reserved + k.quantity, version = s.version + 1
    from locked k, verdict v where v.ok and s.location_id = %(location)s and s.sku = k.sku
    returning s.sku, s.on_hand, s.reserved, k.quantity
)
"""
_HELD = f"""
{_MOVEMENT}
select %(location)s, sku, 'RESERVE', null::uuid, 0, quantity, on_hand, reserved, 0, {_CAUSE} from level order by sku
"""

# All or none. Affects as many movements as there are lines, or none if a line is short.
RESERVE = f"{_HOLD}{_HELD}"

# The same for who sends it with other statements, which fail with it where it would do nothing.
RESERVE_OR_FAIL = f"""
{_HOLD}, moved as ({_HELD} returning sku)
select 1 / ((select count(*) from moved) = (select count(*) from asked))::int
"""

# Asked when a cart is or may be short: the levels are locked if a reservation was refused.
SHORT_LEVELS = f"""
with {_ASKED},
found as (
    select a.sku, a.quantity, greatest(coalesce(s.on_hand - s.reserved - {_TOO_SHORT.format(level="s")}, 0), 0)::bigint as available
    from asked a left join stock_level s on s.location_id = %(location)s and s.sku = a.sku
)
select sku, quantity, available from found where available < quantity order by sku
"""

# Of many carts those that may be short. Units that can't be sold any more are not looked for: this is asked with every order.
SHORT_CARTS = """
select distinct cart
from unnest(%(carts)s::int[], %(locations)s::text[], %(skus)s::text[], %(quantities)s::bigint[]) as asked (cart, location_id, sku, quantity)
cross join lateral (
    select on_hand - reserved as available from stock_level
    where stock_level.location_id = asked.location_id and stock_level.sku = asked.sku offset 0
) as level
where available < quantity
"""

EXTEND = """
update reservation set expires_at = greatest(expires_at, %(expires_at)s::timestamptz)
where reservation_id = %(reservation)s::uuid and state = 'HELD' returning reservation_id
"""

STATE = "select state from reservation where reservation_id = %(reservation)s::uuid"

# Locks a reservation, then the levels of its lines.
LOCK = """
with found as materialized (
    select reservation_id, location_id, state from reservation where reservation_id = %(reservation)s::uuid for update
),
locked as materialized (
    select s.sku from found f join reservation_line l using (reservation_id)
        join stock_level s on s.location_id = f.location_id and s.sku = l.sku
    order by s.sku for update of s
)
select f.location_id, f.state, (select count(*) from locked) as levels from found f
"""

# Under LOCK: sells all or, if the lots do not suffice, nothing and returns no row. The lots that expire first go first.
COMMIT = f"""
with line as materialized (
    select l.sku, l.quantity, m.min_remaining_shelf_days
    from reservation_line l join medicine m using (sku) where l.reservation_id = %(reservation)s::uuid
),
fit as (
    select n.sku, n.quantity, t.lot_id, t.lot_number, t.expires_on, t.on_hand,
           sum(t.on_hand) over (partition by n.sku order by t.expires_on, t.lot_id) - t.on_hand as before
    from line n join stock_lot t
        on t.location_id = %(location)s and t.sku = n.sku and t.state = 'SELLABLE' and t.on_hand > 0
        and t.expires_on >= current_date + n.min_remaining_shelf_days
),
taken as materialized (
    select sku, lot_id, lot_number, expires_on, least(on_hand, quantity - before)::bigint as quantity from fit where before < quantity
),
verdict as (select (select sum(quantity) from line) = (select sum(quantity) from taken) as ok),
sold as (
    update reservation set state = 'COMMITTED' from verdict
    where ok and reservation_id = %(reservation)s::uuid and state = 'HELD' returning reservation_id
),
lot as (
    update stock_lot t set on_hand = t.on_hand - k.quantity, version = t.version + 1, updated_at = clock_timestamp()
    from taken k, sold where t.lot_id = k.lot_id
),
bound as (
    insert into reservation_lot (reservation_id, sku, lot_id, quantity)
    select reservation_id, sku, lot_id, quantity from taken, sold
    returning sku, lot_id, quantity
),
level as (
    update stock_level s set on_hand = s.on_hand - n.quantity, reserved = s.reserved - n.quantity, version = s.version + 1
    from line n, sold where s.location_id = %(location)s and s.sku = n.sku
    returning s.sku, s.on_hand, s.reserved
),
moved as (
    {_MOVEMENT}
    select %(location)s, k.sku, 'COMMIT', k.lot_id, -k.quantity, -k.quantity, s.on_hand + k.later, s.reserved + k.later, -k.quantity,
           {_CAUSE}
    from level s join (
        select *, coalesce(sum(quantity) over (
            partition by sku order by expires_on, lot_id rows between 1 following and unbounded following), 0) as later
        from taken) k using (sku)
    order by k.sku, k.expires_on, k.lot_id
)
select k.sku, k.lot_id, k.lot_number, k.expires_on, k.quantity from bound b join taken k using (sku, lot_id)
order by k.sku, k.expires_on, k.lot_id
"""

# Asked when a commit was refused, under LOCK.
SHORT_LOTS = """
select l.sku, l.quantity, coalesce(sum(t.on_hand), 0)::bigint as available
from reservation_line l join medicine m using (sku) left join stock_lot t
    on t.location_id = %(location)s and t.sku = l.sku and t.state = 'SELLABLE' and t.on_hand > 0
    and t.expires_on >= current_date + m.min_remaining_shelf_days
where l.reservation_id = %(reservation)s::uuid
group by l.sku, l.quantity having coalesce(sum(t.on_hand), 0) < l.quantity order by l.sku
"""

# Frees the units of the reservations that `ended` names.
_FREE = f"""
line as materialized (
    select e.reservation_id, e.location_id, l.sku, l.quantity from ended e join reservation_line l using (reservation_id)
),
total as (select location_id, sku, sum(quantity)::bigint as quantity from line group by location_id, sku),
locked as materialized (
    select s.location_id, s.sku, t.quantity from total t join stock_level s using (location_id, sku)
    order by s.location_id, s.sku for update of s
),
level as (
    update stock_level s set reserved = s.reserved - k.quantity, version = s.version + 1
    from locked k where s.location_id = k.location_id and s.sku = k.sku
    returning s.location_id, s.sku, s.on_hand, s.reserved
),
moved as (
    {_MOVEMENT}
    select l.location_id, l.sku, 'RELEASE', null::uuid, 0, -l.quantity, s.on_hand, s.reserved + l.later, 0,
           %(reason)s, %(actor)s, {{reference}}
    from level s join (
        select *, coalesce(sum(quantity) over (
            partition by location_id, sku order by reservation_id rows between 1 following and unbounded following), 0) as later
        from line) l using (location_id, sku)
    order by l.location_id, l.sku, l.reservation_id
)
select reservation_id from ended
"""

# Returns the reservation if it was held, nothing otherwise.
RELEASE = f"""
with ended as (
    update reservation set state = %(state)s where reservation_id = %(reservation)s::uuid and state = 'HELD'
    returning reservation_id, location_id
),
{_FREE.format(reference="%(reference)s")}"""

# Ends reservations that ran out, except those of orders; those that somebody works on are left for the next time.
EXPIRE_DUE = f"""
with due as materialized (
    select reservation_id from reservation
    where state = 'HELD' and order_id is null and expires_at <= statement_timestamp()
    order by expires_at limit %(limit)s for update skip locked
),
ended as (
    update reservation set state = 'EXPIRED' where reservation_id = any(array(select reservation_id from due))
    returning reservation_id, location_id
),
{_FREE.format(reference="'reservations/' || l.reservation_id")}"""

BOUND = """
select b.sku, b.lot_id, t.lot_number, t.expires_on, b.quantity from reservation_lot b join stock_lot t using (lot_id)
where b.reservation_id = %(reservation)s::uuid order by b.sku, t.expires_on, b.lot_id
"""

# Changes lots by the deltas in `change`; what sellable ones gain or lose, their levels do too.
_CHANGE_LOTS = f"""
lot as (
    update stock_lot t set on_hand = t.on_hand + c.delta, version = t.version + 1, updated_at = clock_timestamp()
    from change c where t.lot_id = c.lot_id
    returning t.lot_id, t.sku, t.expires_on, c.delta, case when t.state = 'SELLABLE' then c.delta else 0 end as counted
),
level as (
    update stock_level s set on_hand = s.on_hand + d.counted, version = s.version + 1
    from (select sku, sum(counted)::bigint as counted from lot group by sku) d where s.location_id = %(location)s and s.sku = d.sku
    returning s.sku, s.on_hand, s.reserved
)
{_MOVEMENT}
select %(location)s, l.sku, %(kind)s, l.lot_id, l.counted, 0, s.on_hand - l.later, s.reserved, l.delta, {_CAUSE}
from level s join (
    select *, coalesce(sum(counted) over (
        partition by sku order by expires_on, lot_id rows between 1 following and unbounded following), 0) as later
    from lot) l using (sku)
order by l.sku, l.expires_on, l.lot_id
"""

# Under LOCK.
RESTOCK = f"""
with freed as (
    update reservation set state = 'RELEASED' where reservation_id = %(reservation)s::uuid and state = 'COMMITTED' returning reservation_id
),
change as (
    delete from reservation_lot b using freed where b.reservation_id = freed.reservation_id
    returning b.lot_id, b.quantity - b.returned_quantity as delta
),
{_CHANGE_LOTS}"""

# Under LOCK. What may be packed: the units of these lots, and whether they keep long enough to be taken now.
PACKABLE = """
select p.sku, p.lot_number, t.lot_id, t.state, t.on_hand, t.expires_on >= current_date as keeps,
       t.expires_on >= current_date + m.min_remaining_shelf_days as fit
from unnest(%(skus)s::text[], %(lot_numbers)s::text[]) as p(sku, lot_number)
    join medicine m using (sku)
    join stock_lot t on t.location_id = %(location)s and t.sku = p.sku and t.lot_number = p.lot_number and t.origin = 'SUPPLY'
"""

# Under LOCK.
SWAP_LOTS = f"""
with change as (select lot_id, delta from unnest(%(lots)s::uuid[], %(deltas)s::bigint[]) as t(lot_id, delta)),
{_CHANGE_LOTS}"""

UNBIND = "delete from reservation_lot where reservation_id = %(reservation)s::uuid and sku = any(%(skus)s::text[])"

BIND = """
insert into reservation_lot (reservation_id, sku, lot_id, quantity)
select %(reservation)s::uuid, sku, lot_id, quantity
from unnest(%(skus)s::text[], %(lots)s::uuid[], %(quantities)s::bigint[]) as t(sku, lot_id, quantity)
"""

# Under LOCK.
# Under LOCK: which lots of what was sold must not go out any more.
UNFIT_TO_LEAVE = """
select b.sku, t.lot_number
from reservation_lot b join stock_lot t using (lot_id)
where b.reservation_id = %(reservation)s::uuid and (t.state = any(%(set_aside)s::text[]) or t.expires_on < current_date)
order by b.sku, t.lot_number limit 1
"""

DISPATCH = f"""
{_MOVEMENT}
select s.location_id, b.sku, 'DISPATCH', b.lot_id, 0, 0, s.on_hand, s.reserved, 0, {_CAUSE}
from reservation_lot b join stock_lot t using (lot_id) join stock_level s on s.location_id = t.location_id and s.sku = b.sku
where b.reservation_id = %(reservation)s::uuid order by b.sku, t.expires_on, b.lot_id
"""

# Under LOCK. What came back lies in lots of its own, which are never sold; those of a recalled lot are recalled. Returns no row if more
# comes back than was bound.
TAKE_BACK = f"""
with {_ASKED},
out as (
    select a.sku, a.quantity as asked, b.lot_id, t.lot_number, t.expires_on, t.state, b.quantity - b.returned_quantity as quantity,
           sum(b.quantity - b.returned_quantity) over (partition by b.sku order by t.expires_on desc, t.lot_id desc)
               - (b.quantity - b.returned_quantity) as before
    from asked a
        join reservation_lot b on b.reservation_id = %(reservation)s::uuid and b.sku = a.sku and b.quantity > b.returned_quantity
        join stock_lot t using (lot_id)
),
taken as materialized (
    select sku, lot_id, lot_number, expires_on, state, least(quantity, asked - before)::bigint as quantity from out where before < asked
),
verdict as (select (select sum(quantity) from asked) = (select sum(quantity) from taken) as ok),
noted as (
    update reservation_lot b set returned_quantity = b.returned_quantity + k.quantity
    from taken k, verdict v where v.ok and b.reservation_id = %(reservation)s::uuid and b.lot_id = k.lot_id and b.sku = k.sku
),
lot as (
    insert into stock_lot (lot_id, location_id, sku, lot_number, state, origin, expires_on, on_hand)
    select gen_random_uuid(), %(location)s, sku, lot_number, case state when 'RECALLED' then 'RECALLED' else 'QUARANTINED' end, 'RETURN',
           expires_on, quantity from taken, verdict where ok
    on conflict (location_id, sku, lot_number, origin) do update
        set on_hand = stock_lot.on_hand + excluded.on_hand, version = stock_lot.version + 1, updated_at = clock_timestamp()
    returning lot_id, sku, lot_number
)
{_MOVEMENT}
select %(location)s, l.sku, 'RETURN', l.lot_id, 0, 0, s.on_hand, s.reserved, k.quantity, {_CAUSE}
from lot l join taken k using (sku, lot_number) join stock_level s on s.location_id = %(location)s and s.sku = l.sku
order by l.sku, k.expires_on, l.lot_id returning sku
"""
