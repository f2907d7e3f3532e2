"""What is measured of the ledger, set up: a durable PostgreSQL of our own, databases, server processes, and the generator in another."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from deploy.local.postgres import temporary_postgres
from deploy.local.postgres_binaries import find_binaries
from services.balance.migrations.schema import schema
from shared.postgres.migrations import migrate
from shared.testing.databases import fresh_database
from shared.testing.identities import Identities, make_identities
from tests.benchmarks import ledger_data
from tests.benchmarks.http2_load import Load, load_process
from tests.benchmarks.pgbench import Pgbench
from tests.benchmarks.servers import POSTGRES, BenchmarkFailed, Server, postgres_cpu_s, postgres_settings, served

LEDGER = ("-m", "services.balance", "serve")
ECHO = ("-m", "tests.benchmarks.echo")
EMPTY = ("-m", "tests.benchmarks.server", "empty")
ORM = ("-m", "tests.benchmarks.server", "orm")


@dataclass(frozen=True, slots=True)
class Workbench:
    """The parts. `uri` is the service's database, `accounts` how many accounts it has; pgbench has as many in a database of its own.

    Each server stays on one processor (PROCESSOR), the second ledger on the next; those `anywhere` are left to the system.
    """

    uri: str
    accounts: int
    postgres: psutil.Process
    postgres_settings: dict[str, str]
    identities: Identities
    pgbench: Pgbench
    load: Load
    echo: Server
    empty: Server
    orm: Server
    ledgers: Sequence[Server]
    empty_anywhere: Server
    ledger_anywhere: Server

    def postgres_cpu_s(self) -> float:
        return postgres_cpu_s(self.postgres)

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
        first, *others = sorted(os.sched_getaffinity(0))
        started = [
            (ECHO, first),
            (EMPTY, first),
            (ORM, first),
            (LEDGER, first),
            (LEDGER, (others or [first])[0]),
            (EMPTY, None),
            (LEDGER, None),
        ]
        echo, empty, orm, ledger, second_ledger, empty_anywhere, ledger_anywhere = (
            stack.enter_context(_served(command, folder, uri, identities, processor)) for command, processor in started
        )
        yield Workbench(
            uri=uri,
            accounts=accounts,
            postgres=psutil.Process(postgres.pid),
            postgres_settings=postgres_settings(uri),
            identities=identities,
            pgbench=Pgbench(find_binaries() / "pgbench", pgbench_uri),
            load=stack.enter_context(load_process()),
            echo=echo,
            empty=empty,
            orm=orm,
            ledgers=(ledger, second_ledger),
            empty_anywhere=empty_anywhere,
            ledger_anywhere=ledger_anywhere,
        )


def _served(
    command: Sequence[str], folder: Path, uri: str, identities: Identities, processor: int | None
) -> AbstractContextManager[Server]:
    settings = {
        "DATABASE_URI": uri,
        "JWKS_FILE": str(identities.jwks_file),
        "PAGE_TOKEN_KEY_FILE": str(identities.page_token_key_file),
        "AUDIT_EVERY_S": "0",
    }
    if processor is not None:
        settings["PROCESSOR"] = str(processor)
    return served(command, folder, settings)
