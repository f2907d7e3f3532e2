"""What the shop has when it is measured, and the requests that are made of it: unique, and serialised before the clock runs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg
from galen.orders.v1 import order_service_pb2 as messages

from shared.grpc.page_tokens import PageTokens
from shared.postgres.conninfo import service_conninfo
from tests.orders.many_orders import write_many_orders

SERVICE = "/galen.orders.v1.OrderService/"
CUSTOMERS = 2_000
# A third of them for each line of a cart of three.
SKUS = 3_000
CART = 3
LONG_CART = 200
HOT = "HOT"
SALES = 20
SALE_UNITS = 50
BUYERS = 500
CROSSED_SKUS = 6
CROSSED_CART = 4
PAGE_SIZE = 20
# The oldest order whose page is full, however rare what it shows.
FULL_BELOW = 9_000
# More would last longer than a statement may.
WRITTEN_AT_ONCE = 20_000

PageRequest = messages.ListOrdersRequest | messages.SearchOrdersRequest

# The key of customer number n, and of their address.
KEY = "lpad(to_hex({}::bigint), 32, '0')::uuid"

SEED_CUSTOMERS = f"""
    insert into customers.customer (customer_id, login, registration_request_id, display_name, phone, email, roles, version,
        account_opened_at, created_at, updated_at)
    select {KEY.format("n")}, 'bench-' || n, {KEY.format("n")}, 'Ann Example', '+353871234567', 'ann@example.com', array['customer'], 1,
        now(), now(), now()
    from generate_series(1, {CUSTOMERS}) as n
"""
SEED_ADDRESSES = f"""
    insert into customers.address (customer_id, address_id, recipient, phone, lines, city, postal_code, country_code, version,
        created_at, updated_at)
    select {KEY.format("n")}, {KEY.format("n")}, 'Ann Example', '+353871234567', array['1 Main St'], 'Dublin', 'D01 X2Y3', 'IE', 1,
        now(), now()
    from generate_series(1, {CUSTOMERS}) as n
"""
SEED_SKUS = f"""
    create temporary table seed as
    select 'MED-' || lpad(n::text, 4, '0') as sku, 1000000000::bigint as units from generate_series(1, {SKUS}) as n
    union all select '{HOT}', 1000000000
    union all select 'CROSS-' || n, 1000000000 from generate_series(1, {CROSSED_SKUS}) as n
    union all select 'SALE-' || n, {SALE_UNITS} from generate_series(1, {SALES}) as n
"""
SEED_MEDICINES = """
    insert into medicine (sku, display_name, form, strength, currency, price_minor, rx_required, cold_chain, withdrawn, schedule,
        max_per_order, max_per_period, period_days, min_remaining_shelf_days)
    select sku, 'Ibuprofen ' || sku, 'tablet', '400 mg', 'EUR', 499, false, false, false, 0, 0, 0, 0, 30 from seed
"""
SEED_LEVELS = "insert into stock_level (location_id, sku, on_hand) select 'main', sku, units from seed"
SEED_LOTS = """
    insert into stock_lot (lot_id, location_id, sku, lot_number, state, origin, expires_on, on_hand)
    select gen_random_uuid(), 'main', sku, 'LOT-1', 'SELLABLE', 'SUPPLY', current_date + 365, units from seed
"""


def seed_customers(uri: str) -> None:
    """Makes customers with an address each."""
    with psycopg.connect(uri) as connection:
        connection.execute(SEED_CUSTOMERS)
        connection.execute(SEED_ADDRESSES)
    _settle(uri, "customers", "customer", "address")


def seed_shop(uri: str) -> None:
    """Puts medicines on the shelf of the main location."""
    with psycopg.connect(service_conninfo(uri, schema="orders", role=None)) as connection:
        for statement in (SEED_SKUS, SEED_MEDICINES, SEED_LEVELS, SEED_LOTS):
            connection.execute(statement)
    _settle(uri, "orders", "medicine", "stock_level", "stock_lot")


def seed_orders(uri: str, count: int) -> None:
    """Writes so many orders to read."""
    for first in range(1, count + 1, WRITTEN_AT_ONCE):
        write_many_orders(uri, min(WRITTEN_AT_ONCE, count + 1 - first), first=first)
    _settle(uri, "orders", "customer_order", "order_item", "order_event")


def _settle(uri: str, schema: str, *tables: str) -> None:
    """Leaves nothing to be done in the background while something is measured.

    Of these tables only: one that was empty when it was looked at passes for empty, and plans for it go through all of it.
    """
    with psycopg.connect(service_conninfo(uri, schema=schema, role=None, timeouts=False), autocommit=True) as connection:
        connection.execute(f"vacuum (analyze) {', '.join(tables)}".encode())
        connection.execute("checkpoint")


def spread(lines: int = CART) -> Sequence[str]:
    """Returns the SKUs of a cart, from all there are."""
    return [_sku(number) for number in random.sample(range(1, SKUS + 1), lines)]


def hot() -> Sequence[str]:
    """Returns the SKUs of a cart with the one that everyone wants."""
    return [HOT, *spread(CART - 1)]


def crossed() -> Sequence[str]:
    """Returns the SKUs of a cart, few of few, in any order."""
    return [f"CROSS-{number}" for number in random.sample(range(1, CROSSED_SKUS + 1), CROSSED_CART)]


def carts(pick: Callable[[], Sequence[str]], count: int) -> list[bytes]:
    """Returns requests for orders that are delivered to customers' addresses."""
    return [_order(random.randint(1, CUSTOMERS), pick()).SerializeToString() for _ in range(count)]


def buyers(sale: int) -> list[bytes]:
    """Returns requests of BUYERS customers for a unit of what is sold out soon."""
    return [_order(number, [f"SALE-{sale}"]).SerializeToString() for number in range(1, BUYERS + 1)]


def gets(names: Sequence[str], count: int) -> list[bytes]:
    return [messages.GetOrderRequest(name=random.choice(names)).SerializeToString() for _ in range(count)]


def lists(page_tokens: PageTokens, orders: int, count: int) -> list[bytes]:
    """Returns requests for full pages from anywhere among so many orders, without and with filters; half of them are first pages."""
    filters = ("", "state = PAID", 'sku = "COMMON"', "has_rx = true")
    requests = [messages.ListOrdersRequest(parent="customers/-", page_size=PAGE_SIZE, filter=text) for text in filters]
    return list(_pages(page_tokens, requests, orders, count))


def searches(page_tokens: PageTokens, orders: int, count: int) -> list[bytes]:
    """The same for words that all orders have, one in a hundred, one in 400."""
    requests = [messages.SearchOrdersRequest(query=text, page_size=PAGE_SIZE) for text in ("ibuprofen", "alex name42", "some")]
    return list(_pages(page_tokens, requests, orders, count))


def _pages(page_tokens: PageTokens, requests: Sequence[PageRequest], orders: int, count: int) -> Iterator[bytes]:
    for place in range(count):
        request = requests[place % len(requests)]
        request.page_token = page_tokens.seal(request, _place(random.randint(FULL_BELOW, orders))) if random.random() < 0.5 else ""
        yield request.SerializeToString()


def _place(number: int) -> list[str]:
    """Returns where order number n of many_orders stands."""
    return [(datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=number)).isoformat(), str(UUID(int=number))]


def _order(customer: int, skus: Sequence[str]) -> messages.CreateOrderRequest:
    name = f"customers/{UUID(int=customer)}"
    lines = [messages.NewOrderLine(sku=sku, quantity=1) for sku in skus]
    return messages.CreateOrderRequest(parent=name, lines=lines, address=f"{name}/addresses/{UUID(int=customer)}", request_id=str(uuid4()))


def _sku(number: int) -> str:
    return f"MED-{number:04d}"
