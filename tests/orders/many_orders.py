"""Orders by the thousand, written by the database itself. They look like real ones to whoever reads them; nothing moves stock for them."""

from __future__ import annotations

import psycopg

from shared.postgres.conninfo import service_conninfo

# Order number n was made n seconds after 2024 began. Every order has the SKU `COMMON`, one in a thousand each of `S-000` to `S-999`, one in
# 400 `SOME`, the very first one `RARE`. All customers are called Alex, one in 97 Name<k>, the first one Unique.
_ORDERS = """
insert into customer_order (
    order_id, customer_id, order_number, location_id, currency, note, state, fulfilment, subtotal_minor, payable_minor,
    has_rx, has_controlled, contact_name, contact_phone, contact_email,
    assignee, preparer, reviewer, tracking_number, pickup_code, cancel_reason,
    payment_state, points_state, points_minor, pending_operation, overdue, due_at, events, created_at, updated_at, search)
select order_id, 'many-' || n %% 5000, number, 'many', 'EUR', '', state, 2, 1000 + n %% 500, 1000 + n %% 500, n %% 10 = 0, false,
    name, '+49 30 ' || phone, '', case when state = 3 then 'customers/staff-' || n %% 7 else '' end, '', '', '', '', '',
    1, 0, 0, 0, false, made_at + interval '1 hour', 1, made_at, made_at,
    array_to_tsvector(array[number, 'alex', 'name' || n %% 97, '49', '30', phone, '4930' || phone, 'common', 'ibuprofen', '400mg']
        || case when n = 1 then array['unique'] else '{}' end || case when n %% 400 = 0 then array['some'] else '{}' end)
from (
    select n, lpad(to_hex(n), 32, '0')::uuid as order_id, lpad((n * 7919::bigint)::text, 15, '7') || '0' as number,
           lpad((n %% 900000)::text, 7, '5') as phone, case when n = 1 then 'Alex Unique' else 'Alex Name' || n %% 97 end as name,
           case when n %% 1000 = 0 then 10 when n %% 500 = 1 then 3 when n %% 100 = 2 then 2 else 5 end as state,
           timestamptz '2024-01-01 00:00:00Z' + n * interval '1 second' as made_at
    from generate_series(%(first)s::int, %(last)s::int) as n
) as made
"""
_LINES = """
insert into order_item (order_id, position, sku, display_name, form, strength, unit_price_minor, total_minor, quantity, returned_quantity,
    rx_required, cold_chain, schedule)
select lpad(to_hex(n), 32, '0')::uuid, place, sku, sku, 'tablet', '400 mg', 500, 500, 1, 0, false, false, 0
from generate_series(%(first)s::int, %(last)s::int) as n, lateral (values
    (1, 'COMMON'), (2, 'S-' || lpad((n %% 1000)::text, 3, '0')), (3, case when n = 1 then 'RARE' when n %% 400 = 0 then 'SOME' end)
) as line (place, sku)
where sku is not null
"""
_EVENTS = """
insert into order_event (order_id, number, kind, from_state, to_state, actor, role, reason, details, created_at)
select lpad(to_hex(n), 32, '0')::uuid, 1, 1, 0, 1, 'system', 'system', '', '{}',
    timestamptz '2024-01-01 00:00:00Z' + n * interval '1 second'
from generate_series(%(first)s::int, %(last)s::int) as n
"""


def write_many_orders(uri: str, count: int, *, first: int = 1) -> None:
    """Writes `count` orders, from number `first` on, into the schema of the service, and lets the planner look at them."""
    with psycopg.connect(service_conninfo(uri, schema="orders", role=None), autocommit=True) as connection:
        for statement in (_ORDERS, _LINES, _EVENTS):
            connection.execute(statement, {"first": first, "last": first + count - 1})
        connection.execute("vacuum analyze customer_order, order_item, order_event")
