"""What the server does for the statements that orders wait for, on tables that are full: it walks along indexes, whatever the plan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from services.orders.adapters.postgres import lot_statements, stock_statements
from services.orders.adapters.postgres.tables import SCHEMA
from services.orders.migrations.schema import schema
from shared.postgres.migrations import migrate
from shared.testing.databases import fresh_database
from tests.balance.plans import CUSTOM, GENERIC, blocks, nodes, plan

LONG_TABLES = {"stock_level", "stock_lot", "reservation", "reservation_line", "reservation_lot", "stock_movement", "medicine"}
SKUS = [f"S{number}" for number in range(100, 12_000, 900)]
# Committed and held ones; of the held ones every second has no order, and a few of those ran out.
SOLD, HELD = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000009001"
_FILL = """
insert into medicine (sku, display_name, form, strength, currency, price_minor, rx_required, cold_chain, withdrawn, schedule, max_per_order,
                      max_per_period, period_days, min_remaining_shelf_days)
select 'S' || n, 'x', 'x', 'x', 'EUR', 1, false, false, false, 0, 0, 0, 0, 30 from generate_series(1, 12000) n;
insert into stock_lot (lot_id, location_id, sku, lot_number, state, origin, expires_on, on_hand)
select lpad(to_hex(n * 4 + k), 32, '0')::uuid, 'main', 'S' || n, 'L' || k, case k when 0 then 'EXPIRED' else 'SELLABLE' end, 'SUPPLY',
       current_date + 50 * k, case k when 1 then 0 else 100 end
from generate_series(1, 12000) n, generate_series(0, 3) k;
insert into stock_level (location_id, sku, on_hand, reserved) select 'main', 'S' || n, 200, 20 from generate_series(1, 12000) n;
insert into reservation (reservation_id, location_id, order_id, state, expires_at)
select lpad(n::text, 32, '0')::uuid, 'main', case when n % 2 = 0 then gen_random_uuid() end,
       case when n < 9000 then 'COMMITTED' else 'HELD' end, now() + make_interval(secs => n - 9002)
from generate_series(1, 10000) n;
insert into reservation_line (reservation_id, sku, quantity)
select lpad(n::text, 32, '0')::uuid, 'S' || (1 + (n + 1000 * k) % 12000), 2 from generate_series(1, 10000) n, generate_series(0, 2) k;
insert into reservation_lot (reservation_id, sku, lot_id, quantity)
select reservation_id, sku, lot_id, quantity
from reservation_line join stock_lot using (sku) join reservation using (reservation_id)
where lot_number = 'L2' and reservation.state = 'COMMITTED';
"""
CAUSE = {"reason": ("text", ""), "actor": ("text", "x"), "reference": ("text", "x")}
PLACE = {"location": ("text", "main")}
NEW = "ffffffff-0000-0000-0000-000000000000"
CART = {"skus": ("text[]", SKUS), "quantities": ("bigint[]", [1] * len(SKUS))}
STATEMENTS: dict[str, tuple[str, dict[str, tuple[str, Any]]]] = {
    "reserve": (
        stock_statements.RESERVE,
        {**CART, **PLACE, **CAUSE, "reservation": ("uuid", NEW), "order": ("uuid", NEW), "expires_at": ("timestamptz", "2100-01-01")},
    ),
    "carts that are short": (
        stock_statements.SHORT_CARTS,
        {**CART, "carts": ("int[]", [0] * len(SKUS)), "locations": ("text[]", ["main"] * len(SKUS))},
    ),
    "reserve when short": (stock_statements.SHORT_LEVELS, {**CART, **PLACE}),
    "lock": (stock_statements.LOCK, {"reservation": ("uuid", HELD)}),
    "commit": (stock_statements.COMMIT, {"reservation": ("uuid", HELD), **PLACE, **CAUSE}),
    "commit when short": (stock_statements.SHORT_LOTS, {"reservation": ("uuid", HELD), **PLACE}),
    "release": (stock_statements.RELEASE, {"reservation": ("uuid", HELD), "state": ("text", "RELEASED"), **CAUSE}),
    "expire": (stock_statements.EXPIRE_DUE, {"limit": ("int", 20), "reason": ("text", ""), "actor": ("text", "x")}),
    "restock": (stock_statements.RESTOCK, {"reservation": ("uuid", SOLD), **PLACE, **CAUSE, "kind": ("text", "RESTOCK")}),
    "bound": (stock_statements.BOUND, {"reservation": ("uuid", SOLD)}),
    "unfit to leave": (
        stock_statements.UNFIT_TO_LEAVE,
        {"reservation": ("uuid", SOLD), "set_aside": ("text[]", ["RECALLED"])},
    ),
    "dispatch": (stock_statements.DISPATCH, {"reservation": ("uuid", SOLD), **CAUSE}),
    "take back": (
        stock_statements.TAKE_BACK,
        {"skus": ("text[]", ["S2"]), "quantities": ("bigint[]", [1]), "reservation": ("uuid", SOLD), **PLACE, **CAUSE},
    ),
    "orders of a lot": (
        lot_statements.ORDERS_WITH_LOT,
        {"sku": ("text", "S8"), "lot_number": ("text", "L2"), "after": ("uuid", None), "limit": ("int", 100)},
    ),
}


@pytest.fixture(scope="module")
def full_database(postgres_server_uri: str) -> Iterator[str]:
    with fresh_database(postgres_server_uri) as uri:
        migrate(schema, uri)
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute(f"set search_path = {SCHEMA}".encode())
            connection.execute(_FILL.encode())
            connection.execute("vacuum analyze")
        yield uri


@pytest.mark.parametrize("mode", [GENERIC, CUSTOM])
@pytest.mark.parametrize("name", STATEMENTS)
async def test_what_orders_wait_for_walks_along_indexes_only(full_database: str, name: str, mode: str) -> None:
    statement, parameters = STATEMENTS[name]

    found = await plan(full_database, statement, parameters, mode, settings=f"set search_path = {SCHEMA}")

    assert [
        node["Relation Name"] for node in nodes(found) if node["Node Type"] == "Seq Scan" and node["Relation Name"] in LONG_TABLES
    ] == []
    assert blocks(found) < 1200, "a scan of any of the tables looks at more"
