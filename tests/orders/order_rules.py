"""What must always hold of orders, asked of the database past the service, and what it has of orders and their money."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection


async def broken_order_rules(connection: AsyncConnection, location: str) -> list[Any]:
    """Returns what is wrong with the orders of a location: each as its rule, the order, and what was found."""
    found = await connection.exec_driver_sql(_RULES, {"location": location})
    return [tuple(row) for row in found]


async def order_rows(connection: AsyncConnection, location: str) -> Mapping[UUID, Any]:
    found = await connection.exec_driver_sql(
        "select order_id, state, pending_operation, overdue from customer_order where location_id = %s", (location,)
    )
    return {row.order_id: row for row in found}


async def told_of_recalls(connection: AsyncConnection, location: str) -> set[tuple[UUID, str, str]]:
    """Returns which orders know of the recall of which lots."""
    found = await connection.exec_driver_sql(
        """select e.order_id, e.details ->> 'sku' as sku, e.details ->> 'lot' as lot
           from order_event e join customer_order o using (order_id)
           where o.location_id = %s and e.kind = 9""",
        (location,),
    )
    return {(row.order_id, row.sku, row.lot) for row in found}


async def recall_jobs(connection: AsyncConnection, sku: str) -> list[Mapping[str, Any]]:
    """Takes the jobs that are to tell of recalls of the SKU; returns what they are to be done with."""
    found = await connection.exec_driver_sql(
        "delete from procrastinate_jobs where task_name = 'tell_of_recall' and args ->> 'sku' = %s returning args", (sku,)
    )
    return [row.args for row in found]


async def kept_by_books(connection: AsyncConnection, location: str) -> Mapping[UUID, tuple[int, int]]:
    """Returns what each payment has taken and not given back, of money and of points."""
    found = await connection.exec_driver_sql(
        """select p.payment_id, p.captured_minor - p.refunded_minor as money, p.points_captured_minor - p.points_returned_minor as points
           from payment p join customer_order o using (order_id) where o.location_id = %s""",
        (location,),
    )
    return {row.payment_id: (row.money, row.points) for row in found}


async def unfinished_payments(connection: AsyncConnection, location: str) -> list[UUID]:
    """Returns payments that are under way, or have late money; those whose orders wait for the provider's word are left to the sweeper."""
    found = await connection.exec_driver_sql(
        """select p.payment_id from payment p join customer_order o using (order_id)
           where o.location_id = %s and o.pending_operation <> 1
             and (p.state not in (6, 7, 8) or p.captured_minor > p.refunded_minor and p.state in (7, 8))""",
        (location,),
    )
    return list(found.scalars())


async def unfinished_refunds(connection: AsyncConnection, location: str) -> list[UUID]:
    found = await connection.exec_driver_sql(
        "select r.refund_id from refund r join customer_order o using (order_id) where o.location_id = %s and r.state = 1", (location,)
    )
    return list(found.scalars())


# States: 1 PENDING_PAYMENT, 2 PAID, 3 PREPARING, 4 SHIPPED, 5 COMPLETED, 6 CANCELLED, 7 UNDER_REVIEW, 8 READY, 9 EXPIRED, 10 RETURNED.
_RULES = """
with o as (select * from customer_order where location_id = %(location)s),
     e as (select e.*, lag(e.to_state, 1, 0::smallint) over w as came_from, row_number() over w as place
           from order_event e join o using (order_id) window w as (partition by e.order_id order by e.number))
select 'stock is held, sold or free as the state says', o.order_id, coalesce(r.state, 'none')
from o left join reservation r on r.reservation_id = o.order_id
where r.state is distinct from case when o.state in (1, 7) then 'HELD' when o.state = 6 then 'RELEASED' when o.state = 9 then 'EXPIRED'
                               else 'COMMITTED' end
union all
select 'what is held is what was ordered', o.order_id, i.sku from o join order_item i using (order_id)
left join reservation_line l on l.reservation_id = o.order_id and l.sku = i.sku where l.quantity is distinct from i.quantity
union all
select 'no PAID without capture', o.order_id, o.state::text from o
where o.state in (2, 3, 4, 5, 8, 10) and not exists (
    select from payment p where p.order_id = o.order_id and p.settled and p.captured_minor + p.points_captured_minor = o.payable_minor)
union all
select 'nothing is kept of an order that ended unfulfilled or came back', o.order_id, o.state::text from o join payment p using (order_id)
where o.state in (6, 9, 10) and p.captured_minor + p.points_captured_minor > coalesce((
    select sum(r.card_minor + r.points_minor) from refund r where r.payment_id = p.payment_id), 0)
union all
select 'one payment at most is live', o.order_id, count(*)::text from o join payment p using (order_id)
where p.state not in (7, 8) group by o.order_id having count(*) > 1
union all
select 'history is a chain', order_id, number::text from e where number <> place or from_state <> came_from
union all
select 'history ends as the order is', o.order_id, o.events::text from o
left join e on e.order_id = o.order_id and e.number = o.events and e.to_state = o.state
where e.order_id is null or o.events <> (select count(*) from e where e.order_id = o.order_id)
union all
select 'a prescription counts its orders', p.prescription_id, p.uses::text from prescription p
where p.customer_id in (select customer_id from o) and p.uses <> (
    select count(*) from prescription_use u join customer_order c using (order_id)
    where u.prescription_id = p.prescription_id and not u.given_back and c.state not in (6, 9))
"""
