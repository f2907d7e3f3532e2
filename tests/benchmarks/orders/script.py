"""An order as pgbench writes it: the same rows, statement by statement, by a client that decides nothing and asks nobody."""

from __future__ import annotations

from tests.benchmarks.orders.data import KEY, SKUS

THIRD = SKUS // 3
CUSTOMER = KEY.format(":customer")
REQUEST = KEY.format(":id")
NUMBER = "lpad((:id::bigint % 10000000000000000)::text, 16, '0')"
NAME = f"'customers/' || {CUSTOMER} || '/orders/' || :order_id::text"
SKU = "'MED-' || lpad((:{}::int)::text, 4, '0')"
FIRST, SECOND, THIRD_SKU = (SKU.format(name) for name in ("first", "second", "third"))
# As those of the service: later ones are greater.
ORDER_ID = """(lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') || lpad(to_hex(:id::bigint), 20, '7'))::uuid"""


def _line(position: int, sku: str) -> str:
    return f"(:order_id::uuid, {position}, {sku}, 'Ibuprofen ' || {sku}, 'tablet', '400 mg', 499, 499, 1, 0, false, false, 0::smallint)"


LINES = ", ".join(_line(place, sku) for place, sku in enumerate((FIRST, SECOND, THIRD_SKU), 1))
RESERVED = ", ".join(f"(:order_id::uuid, {sku}, 1)" for sku in (FIRST, SECOND, THIRD_SKU))
CART = f"location_id = 'main' and sku in ({FIRST}, {SECOND}, {THIRD_SKU})"

# `reply` and `words` are those of an order that the service made.
CREATE_ORDER = rf"""
\set customer random(1, :customers)
\set id random(1, 9223372036854775807)
\set first random(1, {THIRD})
\set second random({THIRD + 1}, {2 * THIRD})
\set third random({2 * THIRD + 1}, {SKUS})
begin;
insert into request_log (actor, request_id, fingerprint) values ('customers/bench', {REQUEST}, sha256('content'))
    on conflict do nothing returning {ORDER_ID} as order_id \gset
select sku, display_name, form, strength, currency, price_minor, rx_required, cold_chain, withdrawn, schedule, max_per_order
    from medicine where sku in ({FIRST}, {SECOND}, {THIRD_SKU});
insert into customer_order (order_id, customer_id, order_number, location_id, currency, note, state, fulfilment, subtotal_minor,
        payable_minor, has_rx, has_controlled, contact_name, contact_phone, contact_email, delivery_address, assignee, preparer, reviewer,
        tracking_number, pickup_code, cancel_reason, payment_state, points_state, points_minor, pending_operation, overdue, due_at, events,
        created_at, updated_at, search)
    values (:order_id::uuid, {CUSTOMER}::text, {NUMBER}, 'main', 'EUR', '', 1, 1, 1497, 1497, false, false,
        'Ann Example', '+353871234567', 'ann@example.com', :address::jsonb, '', '', '', '', '', '', 1, 0, 0, 0, false,
        clock_timestamp() + interval '15 minutes', 1, clock_timestamp(), clock_timestamp(),
        array_to_tsvector(string_to_array(:words::text, ' ') || {NUMBER}));
insert into order_item (order_id, position, sku, display_name, form, strength, unit_price_minor, total_minor, quantity, returned_quantity,
        rx_required, cold_chain, schedule) values {LINES};
insert into order_event (order_id, number, kind, from_state, to_state, actor, role, reason, details, created_at)
    values (:order_id::uuid, 1, 1, 0, 1, 'customers/bench', 'staff', '', '{{}}', clock_timestamp());
insert into order_outbox (order_id, number) values (:order_id::uuid, 1);
insert into procrastinate_jobs (queue_name, task_name, priority, args)
    values ('orders', 'notify', 0, jsonb_build_object('number', 1, 'channel', 'log', 'order_id', :order_id::text));
update request_log set reply = :reply::jsonb where actor = 'customers/bench' and request_id = {REQUEST};
select sku, on_hand - reserved from stock_level where {CART} order by sku for update;
insert into reservation (reservation_id, location_id, order_id, state, expires_at)
    values (:order_id::uuid, 'main', :order_id::uuid, 'HELD', clock_timestamp() + interval '15 minutes');
insert into reservation_line (reservation_id, sku, quantity) values {RESERVED};
update stock_level set reserved = reserved + 1, version = version + 1 where {CART};
insert into stock_movement (location_id, sku, kind, on_hand_delta, reserved_delta, on_hand_after, reserved_after, lot_delta, reason, actor,
        reference)
    select 'main', sku, 'RESERVE', 0, 1, on_hand, reserved, 0, '', 'customers/bench', {NAME} from stock_level where {CART} order by sku;
commit;
"""
