"""Ledgers that tests of the proof have for themselves: one that stays clean, and one that is tampered with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from services.balance.container import BalanceContainer, service_parts
from services.balance.migrations.schema import schema
from services.balance.settings import BalanceSettings
from shared.auth.keys import generate_key, private_pem
from shared.postgres.migrations import migrate
from shared.testing.databases import fresh_database, make_role
from shared.testing.identities import Identities
from shared.testing.servers import served
from tests.balance.integration.proof.tampering import Ledger


@pytest.fixture(scope="session")
def chain_key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chain") / "chain.pem"
    path.write_bytes(private_pem(generate_key()))
    return path


def settings_of(uri: str, identities: Identities, chain_key_file: Path | None) -> BalanceSettings:
    """Settings of a ledger that proves nothing by itself: tests do, when they want it."""
    role = make_role(uri, "balance_app")
    migrate(schema, uri, role=role)
    return BalanceSettings(
        database_uri=uri,
        database_role=role,
        jwks_file=identities.jwks_file,
        page_token_key_file=identities.page_token_key_file,
        refusals_burst=1_000_000,
        chain_key_file=chain_key_file,
        chain_every_s=3600,
        audit_every_s=0,
    )


@pytest.fixture(scope="session")
def clean_settings(postgres_server_uri: str, identities: Identities, chain_key_file: Path) -> Iterator[BalanceSettings]:
    with fresh_database(postgres_server_uri) as uri:
        yield settings_of(uri, identities, chain_key_file)


@pytest.fixture(scope="session")
def loose_settings(postgres_server_uri: str, identities: Identities, chain_key_file: Path) -> Iterator[BalanceSettings]:
    with fresh_database(postgres_server_uri) as uri:
        yield settings_of(uri, identities, chain_key_file)


@pytest_asyncio.fixture(scope="session")
async def clean(clean_settings: BalanceSettings, identities: Identities) -> AsyncIterator[Ledger]:
    """Nobody tampers with this one."""
    container = BalanceContainer(settings=clean_settings)
    async with served(service_parts(container)) as server:
        yield Ledger(container, BalanceServiceStub(server.channel), identities, clean_settings.database_uri)


@pytest_asyncio.fixture(scope="session")
async def loose(loose_settings: BalanceSettings, identities: Identities) -> AsyncIterator[Ledger]:
    """No constraint keeps rows in order here."""
    container = BalanceContainer(settings=loose_settings)
    async with served(service_parts(container)) as server:
        ledger = Ledger(container, BalanceServiceStub(server.channel), identities, loose_settings.database_uri)
        await ledger.loosen()
        yield ledger
