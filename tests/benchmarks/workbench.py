"""What is measured, set up: a durable PostgreSQL of our own, the ledger's databases, server processes, and the generator in another."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil
import psycopg
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from deploy.local.postgres import temporary_postgres
from deploy.local.postgres_binaries import find_binaries
from services.balance.migrations.schema import schema
from shared.postgres.migrations import migrate
from shared.testing.databases import fresh_database
from shared.testing.identities import Identities, make_identities
from shared.testing.servers import free_port
from tests.benchmarks import ledger_data
from tests.benchmarks.http2_load import Load, load_process
from tests.benchmarks.pgbench import Pgbench

# Durable: `fsync` and `synchronous_commit` stay on, which they are by default. Room for the tables, and no checkpoint all the time.
POSTGRES = {"shared_buffers": "512MB", "max_wal_size": "4GB"}
SHOWN = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", *POSTGRES)
READY_WITHIN_S = 30.0
LEDGER = ("-m", "services.balance", "serve")
EMPTY = ("-m", "tests.benchmarks.server", "empty")
ORM = ("-m", "tests.benchmarks.server", "orm")


class BenchmarkFailed(Exception):
    """What was measured went wrong, so there is nothing to tell."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server process that answers at `address`."""

    address: str
    process: psutil.Process

    @property
    def cpu_s(self) -> float:
        """Seconds of CPU that it has used."""
        return _cpu_s(self.process)


@dataclass(frozen=True, slots=True)
class Workbench:
    """The parts. `uri` is the service's database, `accounts` how many accounts it has; pgbench has as many in a database of its own."""

    uri: str
    accounts: int
    postgres: psutil.Process
    postgres_settings: dict[str, str]
    identities: Identities
    pgbench: Pgbench
    load: Load
    empty: Server
    orm: Server
    ledgers: Sequence[Server]

    def postgres_cpu_s(self) -> float:
        """Seconds of CPU that all processes of PostgreSQL have used, those that ended included."""
        ended = self.postgres.cpu_times()
        running = sum(_cpu_s(process) for process in self.postgres.children(recursive=True))
        return ended.user + ended.system + ended.children_user + ended.children_system + running

    def audit(self) -> int:
        """Has the service audit all accounts; returns how many. Raises BenchmarkFailed if anything does not hold."""
        admin = self.identities.customer("auditor", roles=("admin",))
        request = messages.AuditAccountsRequest(parent=f"programs/{ledger_data.PROGRAM}/accounts/-")
        audited = 0
        with grpc.insecure_channel(self.ledgers[0].address) as channel:
            for report in BalanceServiceStub(channel).AuditAccounts(request, metadata=admin):
                if report.HasField("finding"):
                    raise BenchmarkFailed(f"the audit found something: {report.finding}")
                audited = max(audited, report.accounts_audited)
        return audited


def _cpu_s(process: psutil.Process) -> float:
    try:
        used = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return used.user + used.system


@contextmanager
def workbench(folder: Path, accounts: int) -> Iterator[Workbench]:
    """Sets everything up, in `folder` what is not PostgreSQL's; takes it down at the end of the block."""
    with ExitStack() as stack:
        postgres = stack.enter_context(temporary_postgres(settings=POSTGRES))
        uri = stack.enter_context(fresh_database(postgres.dsn()))
        pgbench_uri = stack.enter_context(fresh_database(postgres.dsn()))
        for database, rows in (
            (uri, ledger_data.named_accounts(accounts)),
            (pgbench_uri, ledger_data.numbered_accounts(accounts)),
        ):
            migrate(schema, database)
            ledger_data.seed(database, rows)
        identities = make_identities(folder)
        empty, orm, *ledgers = (
            stack.enter_context(_served(command, folder, uri, identities)) for command in (EMPTY, ORM, LEDGER, LEDGER)
        )  # fmt: skip
        yield Workbench(
            uri=uri,
            accounts=accounts,
            postgres=psutil.Process(postgres.pid),
            postgres_settings=_settings(uri),
            identities=identities,
            pgbench=Pgbench(find_binaries() / "pgbench", pgbench_uri),
            load=stack.enter_context(load_process()),
            empty=empty,
            orm=orm,
            ledgers=ledgers,
        )


def _settings(uri: str) -> dict[str, str]:
    with psycopg.connect(uri) as connection:
        return {name: connection.execute(f"show {name}").fetchone()[0] for name in SHOWN}  # type: ignore[index]


@contextmanager
def _served(command: Sequence[str], folder: Path, uri: str, identities: Identities) -> Iterator[Server]:
    """Runs a server program until the block ends; its log goes to a file, a line for each call like in production."""
    address, metrics_address = (f"127.0.0.1:{free_port()}" for _ in range(2))
    environment = os.environ | {
        "DATABASE_URI": uri,
        "GRPC_ADDRESS": address,
        "METRICS_ADDRESS": metrics_address,
        "JWKS_FILE": str(identities.jwks_file),
        "PAGE_TOKEN_KEY_FILE": str(identities.page_token_key_file),
        "LOG_FORMAT": "json",
        "DRAIN_S": "0",
        "AUDIT_EVERY_S": "0",
    }
    log_file = folder / f"{address.rpartition(':')[2]}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen([sys.executable, *command], env=environment, stdout=log, stderr=log)
    try:
        _wait_until_ready(process, metrics_address, log_file)
        yield Server(address, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(READY_WITHIN_S)


def _wait_until_ready(process: subprocess.Popen[bytes], metrics_address: str, log_file: Path) -> None:
    until = time.monotonic() + READY_WITHIN_S
    while not _is_ready(metrics_address):
        if process.poll() is not None or time.monotonic() > until:
            raise BenchmarkFailed(f"a server did not start:\n{log_file.read_text()[-2000:]}")
        time.sleep(0.05)


def _is_ready(metrics_address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{metrics_address}/readyz", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
