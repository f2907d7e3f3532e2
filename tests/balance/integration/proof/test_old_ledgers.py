"""A ledger from before there were lots is brought up to date with its history, and is as sound as any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from services.balance.container import BalanceContainer, service_parts
from services.balance.domain.names import AccountName
from services.balance.migrations.schema import schema
from shared.postgres.migrations import migrate
from shared.testing.databases import fresh_database
from shared.testing.identities import Identities
from shared.testing.servers import served
from tests.balance.integration.proof.conftest import settings_of
from tests.balance.integration.proof.tampering import Ledger
from tests.balance.world import Owner

CREDIT, WITHDRAWAL = (1, 2, 1), (2, 1, 3)  # kind and books
INSUFFICIENT_POINTS, BALANCE_LIMIT_EXCEEDED = 4, 7
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
# Above zero credits, below zero withdrawals; zero for a withdrawal that was refused, None for a credit that was.
HISTORIES: Sequence[Sequence[int | None]] = (
    (),
    (0, 0),
    (10,),
    (10, -10),
    (10, 5, -3, -3),
    (10, -4, 0, 20, -7, None, -9, 30, -1),
    (7, 7, 7, -20, 50, -1, -1, -1),
)


def write_old_history(connection: psycopg.Connection, name: AccountName, history: Sequence[int | None]) -> None:
    """Writes an account as it was stored by the first schema."""
    rows, posted, earned, spent = [], 0, 0, 0
    for version, change in enumerate(history, start=1):
        kind, debit, credit = CREDIT if change is None or change > 0 else WITHDRAWAL
        refusal = {None: BALANCE_LIMIT_EXCEEDED, 0: INSUFFICIENT_POINTS}.get(change)
        posted, earned, spent = posted + (change or 0), earned + max(change or 0, 0), spent - min(change or 0, 0)
        at = BEGAN + timedelta(minutes=version)
        amount = abs(change or 0)
        rows.append(
            (
                name.key,
                version,
                kind,
                debit,
                credit,
                amount,
                amount or 1000,
                posted,
                str(version),
                uuid4(),
                at,
                refusal,
                posted if change == 0 else None,
            )
        )
    connection.execute(
        "insert into balance.account (account_key, program, account_id, version, posted, lifetime_earned, lifetime_spent, created_at,"
        " updated_at) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [name.key, name.program, name.account_id, len(history), posted, earned, spent, BEGAN, BEGAN + timedelta(minutes=len(history))],
    )
    connection.cursor().executemany(
        "insert into balance.operation (account_key, version, kind, debit_book, credit_book, amount, requested_amount, posted_after,"
        " held_after, reference, actor, request_id, fingerprint, created_at, refusal, available_at_refusal)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, 0, %s, 'services/accrual', %s, '', %s, %s, %s)",
        rows,
    )


@pytest.fixture
def old_uri(postgres_server_uri: str) -> Iterator[str]:
    with fresh_database(postgres_server_uri) as uri:
        migrate(schema, uri, target="0001")
        yield uri


async def test_a_ledger_of_the_first_schema_gets_lots_and_an_audit_finds_nothing(
    old_uri: str, identities: Identities, chain_key_file: Path
) -> None:
    names = [AccountName("main", f"customer-{place}") for place in range(len(HISTORIES))]
    with psycopg.connect(old_uri) as connection:
        for name, history in zip(names, HISTORIES, strict=True):
            write_old_history(connection, name, history)

    container = BalanceContainer(settings=settings_of(old_uri, identities, chain_key_file))
    async with served(service_parts(container)) as server:
        ledger = Ledger(container, BalanceServiceStub(server.channel), identities, old_uri)
        owners = [Owner([ledger.stub], identities, old_uri, name) for name in names]

        assert await ledger.broken_rules() == {}
        for owner in owners:
            await owner.stored()

        await ledger.link_all()
        old = owners[-1]
        await old.withdraw(2)
        await old.send(old.to_reverse(f"{old.account}/operations/4", 10))  # 6 to lot 3, 4 to lot 2
        await old.send(old.to_reverse(f"{old.account}/operations/5"))  # 46 of its own lot, 4 of lot 2
        await ledger.link_all()

        assert await ledger.broken_rules() == {}
        assert await ledger.faults() == []
        lots = {lot.id: (lot.amount, lot.remaining) for lot in (await old.stored()).lots}
        assert lots == {1: (7, 0), 2: (7, 0), 3: (7, 6), 5: (50, 0)}
