"""The part of the command that measures orders, small; and that pgbench writes what the service writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg

from deploy.local.postgres_binaries import find_binaries
from services.orders.migrations.schema import schema
from shared.postgres.migrations import migrate
from shared.testing.databases import fresh_database
from tests.benchmarks.orders import data
from tests.benchmarks.orders.script import CREATE_ORDER
from tests.benchmarks.pgbench import Pgbench

ROWS = {
    "customer_order": 1,
    "order_item": 3,
    "order_event": 1,
    "order_outbox": 1,
    "procrastinate_jobs": 1,
    "request_log": 1,
    "reservation": 1,
    "reservation_line": 3,
    "stock_movement": 3,
}


def test_pgbench_writes_the_rows_of_an_order(postgres_server_uri: str) -> None:
    with fresh_database(postgres_server_uri) as uri:
        migrate(schema, uri)
        data.seed_shop(uri)
        pgbench = Pgbench(find_binaries() / "pgbench", uri, {"search_path": "orders"})
        variables = {"customers": 5, "reply": '{"answer": {"number": "1"}}', "address": '{"city": "Dublin"}', "words": "a b"}
        made = pgbench.run(CREATE_ORDER, clients=3, seconds=1, variables=variables).transactions

        with psycopg.connect(uri, options="-c search_path=orders") as connection:
            rows = {table: number(connection, f"select count(*) from {table}") / made for table in ROWS}
            reserved = number(connection, "select sum(reserved) from stock_level")
            answered = number(connection, "select count(*) from request_log where reply -> 'answer' ->> 'number' = '1'")
    assert made > 0
    assert rows == ROWS
    assert (reserved, answered) == (3 * made, made)


def number(connection: psycopg.Connection[Any], query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_the_command_measures_orders_and_leaves_the_figures_of_others(tmp_path: Path) -> None:
    others = [{"figure": "the ledger's", "value": 1.0, "bound": ">= 1", "holds": True}]
    (tmp_path / "benchmarks.json").write_text(json.dumps(others))
    options = ["orders", "--seconds", "0.5", "--rounds", "1", "--orders", "0", "--output", str(tmp_path)]
    only = ["--only", "sale,crossed,statements"]
    command = [sys.executable, "-m", "tests.benchmarks", *options, *only]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)

    assert done.returncode == 0, done.stderr
    first, *figures = json.loads((tmp_path / "benchmarks.json").read_text())
    assert first == others[0]
    values = {figure["figure"]: figure["value"] for figure in figures}
    assert len(values) == 4
    assert values["500 buyers at once for 50 units: how many win"] == data.SALE_UNITS
    assert values["crossed carts of 4 lines from 12 workers: deadlocks"] == 0
    assert "## Orders" in (tmp_path / "benchmarks.md").read_text()
