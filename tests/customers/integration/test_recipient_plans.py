"""What the server does for a batch of recipients: it plans once, and walks along the primary keys, however many are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest

from services.customers.adapters.postgres.recipients import FIND_RECIPIENTS, recipients_statement
from services.customers.adapters.postgres.tables import SCHEMA
from services.customers.migrations.schema import schema
from shared.postgres.conninfo import service_conninfo
from shared.postgres.migrations import migrate
from shared.postgres.round_trips import RoundTrips
from shared.testing.databases import fresh_database
from tests.balance.plans import CUSTOM, GENERIC, blocks, nodes, plan

CUSTOMERS = 3_000
# For so many repeats PostgreSQL plans anew in any case, to compare.
CUSTOM_PLANS = 5
# More would be read by any plan that goes through a table, or for each query through more than a few pages of an index.
BLOCKS_PER_QUERY_MAX = 8
_FILL = f"""
insert into customer (customer_id, login, registration_request_id, display_name, phone, email, roles, version, created_at, updated_at)
select lpad(n::text, 32, '0')::uuid, 'login-' || n, gen_random_uuid(), '', '', '', array['customer'], 1, now(), now()
from generate_series(1, {CUSTOMERS}) n;
insert into address (customer_id, address_id, recipient, phone, lines, city, postal_code, country_code, version, created_at, updated_at)
select lpad(n::text, 32, '0')::uuid, lpad(k::text, 32, '0')::uuid, 'Ada', '', array['Main Street'], 'Cork', '', 'IE', 1, now(), now()
from generate_series(1, {CUSTOMERS}) n, generate_series(1, 3) k;
"""


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
@pytest.mark.parametrize("queries", [1, 10, 100])
async def test_recipients_are_found_along_the_primary_keys_whatever_the_size_of_the_batch(
    full_database: str, queries: int, mode: str
) -> None:
    customers = [UUID(f"{number:032}") for number in range(1, CUSTOMERS, CUSTOMERS // queries)][:queries]
    parameters = {"customers": ("uuid[]", customers), "addresses": ("uuid[]", [UUID(f"{2:032}")] * queries)}

    found = await plan(full_database, FIND_RECIPIENTS, parameters, mode, settings=f"set search_path = {SCHEMA}")

    walks = [(node["Index Name"], node["Actual Loops"]) for node in nodes(found) if "Index Name" in node]
    assert walks == [("customer_pkey", queries), ("address_pkey", queries)]
    assert found["Actual Rows"] == queries
    assert [node["Node Type"] for node in nodes(found) if node["Node Type"] in {"Seq Scan", "Hash Join", "Merge Join"}] == []
    assert blocks(found) <= BLOCKS_PER_QUERY_MAX * queries


@pytest.mark.parametrize("queries", [1, 8, 100])
async def test_a_batch_of_any_size_is_planned_once_for_all(full_database: str, queries: int) -> None:
    trips, ids = RoundTrips(), [(UUID(f"{number:032}"), UUID(f"{1:032}")) for number in range(1, queries + 1)]
    conninfo = service_conninfo(full_database, schema=SCHEMA, role=None)
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        for _ in range(2 * CUSTOM_PLANS):
            (rows,) = await trips.send(connection, [recipients_statement(ids)])
            assert len(rows) == queries
        cursor = await connection.execute(
            "select custom_plans, generic_plans from pg_prepared_statements where statement like '%ordinality%'"
        )
        assert await cursor.fetchall() == [(CUSTOM_PLANS, CUSTOM_PLANS)]
