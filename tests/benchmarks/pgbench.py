"""The same ledger driven by pgbench: what PostgreSQL does when a client sends a withdrawal's statements one by one."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from tests.benchmarks.ledger_data import NUMBERED_KEY

KEY = NUMBERED_KEY.format(":account")
ID = NUMBERED_KEY.format(":id")
# `\gset` keeps what a statement returned as variables.
WITHDRAW = rf"""
\set account random(:first, :last)
\set id random(1, 9223372036854775807)
begin;
select version, posted, held, lifetime_spent from balance.account where account_key = {KEY} for no key update \gset
select version, amount, fingerprint from balance.operation where account_key = {KEY} and actor = 'services/orders' and request_id = {ID};
select lot_id, remaining from balance.lot
    where account_key = {KEY} and is_open and available_at <= clock_timestamp() and (expires_at is null or expires_at > clock_timestamp())
    order by expires_at nulls last, lot_id limit 1 \gset
insert into balance.operation (account_key, version, kind, debit_book, credit_book, amount, requested_amount, posted_after, held_after,
        reference, actor, request_id, fingerprint, created_at, lot_ids, lot_amounts)
    values ({KEY}, :version::bigint + 1, 2, 1, 3, 1, 1, :posted::bigint - 1, :held::bigint,
        (:id::bigint)::text, 'services/orders', {ID}, sha256('content'), clock_timestamp(), array[:lot_id::bigint], array[1::bigint]);
update balance.account set version = :version::bigint + 1, posted = :posted::bigint - 1, lifetime_spent = :lifetime_spent::bigint + 1,
    updated_at = clock_timestamp() where account_key = {KEY};
update balance.lot set remaining = :remaining::bigint - 1, is_open = :remaining::bigint > 1
    where account_key = {KEY} and lot_id = :lot_id::bigint;
commit;
"""
# The least that a durable write can be: one statement, which commits by itself.
ONE_STATEMENT = rf"""
\set account random(:first, :last)
update balance.account set updated_at = clock_timestamp() where account_key = {KEY};
"""


class PgbenchFailed(Exception):
    """pgbench ended with an error, or transactions of its failed."""


@dataclass(frozen=True, slots=True)
class PgbenchResult:
    """Transactions per second, and with latencies asked for their median; what pgbench itself used of the CPU, in seconds."""

    per_s: float
    transactions: int
    p50_ms: float | None
    cpu_s: float


class Pgbench:
    """Runs scripts with prepared statements over TCP, on connections with these PostgreSQL settings."""

    def __init__(self, program: Path, uri: str, settings: Mapping[str, str] | None = None) -> None:
        self._program = program
        self._target = conninfo_to_dict(uri)
        self._options = " ".join(f"-c {name}={value}" for name, value in (settings or {}).items())

    def run(self, script: str, *, clients: int, seconds: float, variables: Mapping[str, object], latencies: bool = False) -> PgbenchResult:
        """Raises PgbenchFailed. The script finds the variables as `:name`."""
        with tempfile.TemporaryDirectory(prefix="galen-pgbench-") as folder:
            path = Path(folder, "script.sql")
            path.write_text(script)
            options = [
                "-n",
                "-M",
                "prepared",
                "-f",
                str(path),
                "-c",
                str(clients),
                "-j",
                str(min(2, clients)),
                "-T",
                str(max(1, round(seconds))),
            ]
            options += [part for name, value in variables.items() for part in ("-D", f"{name}={value}")]
            options += ["-l"] if latencies else []
            before = os.times()
            output = self._call(options, folder)
            after = os.times()
            cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
            return _read(output, _median_ms(Path(folder)) if latencies else None, cpu_s)

    def _call(self, options: list[str], folder: str) -> str:
        connection = [part for flag, name in (("-h", "host"), ("-p", "port"), ("-U", "user")) for part in (flag, str(self._target[name]))]
        command = [str(self._program), *options, *connection, str(self._target["dbname"])]
        environment = {"PGPASSWORD": str(self._target["password"]), "PATH": os.defpath, "PGOPTIONS": self._options}
        done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
        if done.returncode:
            raise PgbenchFailed(done.stderr)
        return done.stdout


def _read(output: str, p50_ms: float | None, cpu_s: float) -> PgbenchResult:
    if failed := int(_number(r"number of failed transactions: (\d+)", output)):
        raise PgbenchFailed(f"{failed} transactions failed")
    return PgbenchResult(
        per_s=_number(r"tps = ([\d.]+)", output),
        transactions=int(_number(r"number of transactions actually processed: (\d+)", output)),
        p50_ms=p50_ms,
        cpu_s=cpu_s,
    )


def _number(pattern: str, output: str) -> float:
    match = re.search(pattern, output)
    if match is None:
        raise PgbenchFailed(f"it did not say {pattern!r}:\n{output}")
    return float(match[1])


def _median_ms(folder: Path) -> float:
    """Reads pgbench's log: client, transaction, microseconds ..."""
    lines = [line for path in folder.glob("pgbench_log.*") for line in path.read_text().splitlines()]
    return statistics.median(int(line.split()[2]) for line in lines) / 1000
