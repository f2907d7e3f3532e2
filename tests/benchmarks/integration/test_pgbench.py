"""What pgbench does to a ledger is what the ledger would have done."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from deploy.local.postgres_binaries import find_binaries
from services.balance.container import BalanceContainer, service_parts
from services.balance.migrations.schema import schema
from services.balance.settings import BalanceSettings
from shared.postgres.migrations import migrate
from shared.testing.databases import fresh_database
from shared.testing.identities import Identities
from shared.testing.servers import served
from tests.benchmarks import ledger_data, pgbench

ACCOUNTS = 20
VARIABLES = {"first": 1, "last": ACCOUNTS}


@pytest.fixture
def seeded(postgres_server_uri: str) -> Iterator[str]:
    """A database with numbered accounts."""
    with fresh_database(postgres_server_uri) as uri:
        migrate(schema, uri)
        ledger_data.seed(uri, ledger_data.numbered_accounts(ACCOUNTS))
        yield uri


async def findings(uri: str, settings: BalanceSettings, identities: Identities) -> set[str]:
    """Has a server audit the database; returns what does not hold."""
    parts = service_parts(BalanceContainer(settings=settings.model_copy(update={"database_uri": uri, "database_role": None})))
    request = messages.AuditAccountsRequest(parent="programs/main/accounts/-")
    async with served(parts) as server:
        reports = BalanceServiceStub(server.channel).AuditAccounts(request, metadata=identities.customer("a", roles=("admin",)), timeout=60)
        return {report.finding.invariant async for report in reports if report.HasField("finding")}


async def test_its_withdrawals_pass_the_audit(seeded: str, balance_settings: BalanceSettings, identities: Identities) -> None:
    run = pgbench.Pgbench(find_binaries() / "pgbench", seeded).run
    found = await asyncio.to_thread(run, pgbench.WITHDRAW, clients=4, seconds=1, variables=VARIABLES)
    with psycopg.connect(seeded) as connection:
        spent = connection.execute("select sum(lifetime_spent) from balance.account").fetchone()

    assert found.transactions > 0
    assert spent == (found.transactions,)
    # Its accounts are named after their keys, and not the other way round.
    assert await findings(seeded, balance_settings, identities) == {"ACCOUNT_KEY_IS_OF_ITS_NAME"}


async def test_seeded_accounts_and_histories_pass_the_audit(
    postgres_server_uri: str, balance_settings: BalanceSettings, identities: Identities
) -> None:
    with fresh_database(postgres_server_uri) as uri:
        migrate(schema, uri)
        ledger_data.seed(uri, ledger_data.named_accounts(ACCOUNTS))
        ledger_data.seed_history(uri, 500)

        assert await findings(uri, balance_settings, identities) == set()


def test_latencies_are_told_if_asked_for(seeded: str) -> None:
    found = pgbench.Pgbench(find_binaries() / "pgbench", seeded).run(
        pgbench.ONE_STATEMENT, clients=1, seconds=1, variables=VARIABLES, latencies=True
    )

    assert found.p50_ms is not None
    assert 0 < found.p50_ms < 1000


def test_a_script_that_fails_says_why(seeded: str) -> None:
    with pytest.raises(pgbench.PgbenchFailed, match="division by zero"):
        pgbench.Pgbench(find_binaries() / "pgbench", seeded).run("select 1 / 0;", clients=1, seconds=1, variables={})
