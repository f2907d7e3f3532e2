"""The balance service on a real server and a real PostgreSQL, for every test that needs it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from services.balance.container import BalanceContainer, service_parts
from services.balance.migrations.schema import schema
from services.balance.settings import BalanceSettings
from shared.postgres.migrations import migrate
from shared.testing.databases import make_role
from shared.testing.identities import Identities
from shared.testing.servers import ServedService, served


@pytest.fixture(scope="session")
def balance_role(database_uri: str) -> str:
    """The role of the service, with the privileges that `migrate` gives; the schema is made with it."""
    role = make_role(database_uri, "balance_app")
    migrate(schema, database_uri, role=role)
    return role


@pytest.fixture(scope="session")
def balance_settings(database_uri: str, balance_role: str, identities: Identities) -> BalanceSettings:
    return BalanceSettings(
        database_uri=database_uri,
        database_role=balance_role,
        jwks_file=identities.jwks_file,
        page_token_key_file=identities.page_token_key_file,
        audit_every_s=0,  # tests tamper with what they share
        sweep_every_s=3600,  # tests tell what is written down from what only counts as of now
    )


@pytest_asyncio.fixture(scope="session")
async def balance_server(balance_settings: BalanceSettings) -> AsyncIterator[ServedService]:
    async with served(service_parts(BalanceContainer(settings=balance_settings))) as server:
        yield server


@pytest.fixture(scope="session")
def balance(balance_server: ServedService) -> BalanceServiceStub:
    return BalanceServiceStub(balance_server.channel)
