"""What an audit costs grows with what it looks at, whether the planner has figures of the tables or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import psycopg
import pytest

from services.balance.adapters.postgres import audit_statements
from services.balance.adapters.postgres.tables import SCHEMA
from services.balance.migrations.schema import schema
from shared.postgres.migrations import migrate
from shared.testing.databases import fresh_database
from tests.balance.plans import CUSTOM, GENERIC, nodes, plan

ACCOUNTS, PERIODS = 300, 10
LONG_HISTORY = 3000
OPERATIONS = 4 * (ACCOUNTS * PERIODS + LONG_HISTORY)
LAST_KEY = UUID(int=2**128 - 1)
STATEMENTS = {
    name: getattr(audit_statements, name)
    for name in (
        "OPERATIONS",
        "ACCOUNTS",
        "LOTS",
        "USES",
        "HOLDS",
        "HOLD_LOTS",
        "RELATED",
        "RETURNED",
        "UNIQUE",
        "ORPHANS",
        "TRANSFERS",
        "SUMS",
    )
}
# How many rows the nodes of a plan handle together for each operation of the range: five to thirty, as measured. A join that goes the
# wrong way about the long history alone would handle a thousand.
ROWS_AN_OPERATION = 60
# A history is periods of: a credit of 4, a withdrawal of 1, a reservation of 2, and its capture.
WRITE = """
    create temporary table made as
    select case place when 0 then %(last)s::uuid else gen_random_uuid() end as account_key, place,
        case place when 0 then %(long)s else %(periods)s end as periods
    from generate_series(0, %(accounts)s) as place;
    insert into account (account_key, program, account_id, version, posted, lifetime_earned, lifetime_spent, created_at, updated_at)
    select account_key, 'main', 'made-' || place, periods * 4, periods, periods * 4, periods * 3, now(), now() from made;
    insert into operation (account_key, version, kind, debit_book, credit_book, amount, requested_amount, posted_after, held_after,
        reference, actor, request_id, fingerprint, created_at, related_version, lot_ids, lot_amounts)
    select account_key, 4 * period + step, step, debit, credit, amount, amount, period + posted, held, 'order ' || period,
        'services/orders', gen_random_uuid(), '', now(), case step when 4 then 4 * period + 3 end,
        array[4 * period + 1], array[amount]
    from made cross join generate_series(0, periods - 1) as period
    cross join (values (1, 2, 1, 4, 4, 0), (2, 1, 3, 1, 3, 0), (3, 1, 4, 2, 3, 2), (4, 4, 3, 2, 1, 0))
        as steps (step, debit, credit, amount, posted, held);
    insert into lot (account_key, lot_id, amount, remaining, held, available_at, expires_at, is_open)
    select account_key, 4 * period + 1, 4, 1, 0, now(), null, true from made cross join generate_series(0, periods - 1) as period;
    insert into hold (account_key, hold_id, state, amount, remaining, captured, reference)
    select account_key, 4 * period + 3, 2, 2, 0, 2, 'order ' || period
    from made cross join generate_series(0, periods - 1) as period;
"""


@pytest.fixture(scope="module", params=["unknown to the planner", "analysed"])
def filled_uri(request: pytest.FixtureRequest, postgres_server_uri: str) -> Iterator[str]:
    """A ledger with many accounts, of which the last has a long history."""
    with fresh_database(postgres_server_uri) as uri:
        migrate(schema, uri)
        with psycopg.connect(uri, options=f"-c search_path={SCHEMA},pg_temp") as connection:
            for table in ("account", "operation", "lot", "hold"):
                connection.execute(f"alter table {table} set (autovacuum_enabled = false)".encode())
            sizes = {"long": LONG_HISTORY, "periods": PERIODS, "accounts": ACCOUNTS}
            psycopg.ClientCursor(connection).execute(WRITE, {**sizes, "last": LAST_KEY})
            if request.param == "analysed":
                connection.execute("analyze account, operation, lot, hold")
        yield uri


def rows_handled(node: Mapping[str, Any]) -> int:
    """Returns how many rows the nodes gave or passed over, each time that they ran."""
    counted = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Join Filter", "Rows Removed by Index Recheck")
    return sum(int(child["Actual Loops"] * sum(child.get(count, 0) for count in counted)) for child in nodes(node))


async def done(uri: str, name: str, low: UUID, high: UUID, mode: str) -> Mapping[str, Any]:
    parameters = {"low": ("uuid", low), "high": ("uuid", high), "program": ("text", None)}
    return await plan(uri, STATEMENTS[name], parameters, mode, audit_statements.PLANNING)


@pytest.mark.parametrize("mode", [GENERIC, CUSTOM])
@pytest.mark.parametrize("name", STATEMENTS)
async def test_of_a_whole_ledger_a_statement_handles_so_many_rows_for_each_operation(filled_uri: str, name: str, mode: str) -> None:
    found = await done(filled_uri, name, UUID(int=0), LAST_KEY, mode)

    assert rows_handled(found) < ROWS_AN_OPERATION * OPERATIONS
    if name not in {"TRANSFERS", "SUMS"}:
        assert found["Actual Rows"] == 0, "it found something"


@pytest.mark.parametrize("mode", [GENERIC, CUSTOM])
@pytest.mark.parametrize("name", STATEMENTS)
async def test_of_a_range_a_statement_looks_at_nothing_else(filled_uri: str, name: str, mode: str) -> None:
    with psycopg.connect(filled_uri) as connection:
        keys = [key for (key,) in connection.execute("select account_key from balance.account order by 1 limit 20")]

    found = await done(filled_uri, name, keys[0], keys[-1], mode)

    assert rows_handled(found) < ROWS_AN_OPERATION * 4 * PERIODS * len(keys)
