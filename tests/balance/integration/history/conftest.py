"""A ledger with a database of its own, so that histories can be made up without disturbing anybody's audit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import pytest_asyncio
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from services.balance.adapters.postgres.tables import SCHEMA
from services.balance.container import BalanceContainer, service_parts
from services.balance.migrations.schema import schema
from services.balance.settings import BalanceSettings
from shared.postgres.conninfo import service_conninfo
from shared.postgres.migrations import migrate
from shared.postgres.pool import Pool, make_pool
from shared.testing.databases import fresh_database, make_role
from shared.testing.identities import Identities, Metadata
from shared.testing.servers import ServedService, served
from tests.balance.world import Owner


@pytest.fixture(scope="session")
def history_settings(postgres_server_uri: str, identities: Identities) -> Iterator[BalanceSettings]:
    with fresh_database(postgres_server_uri) as uri:
        role = make_role(uri, "balance_app")
        migrate(schema, uri, role=role)
        yield BalanceSettings(
            database_uri=uri,
            database_role=role,
            jwks_file=identities.jwks_file,
            page_token_key_file=identities.page_token_key_file,
            audit_every_s=0,
            watch_poll_every_s=0.05,
            watch_heartbeat_s=0.5,
        )


@pytest.fixture(scope="session")
def history_uri(history_settings: BalanceSettings) -> str:
    return history_settings.database_uri


@pytest_asyncio.fixture(scope="session")
async def history_server(history_settings: BalanceSettings) -> AsyncIterator[ServedService]:
    async with served(service_parts(BalanceContainer(settings=history_settings))) as server:
        yield server


@pytest.fixture(scope="session")
def history(history_server: ServedService) -> BalanceServiceStub:
    return BalanceServiceStub(history_server.channel)


@pytest_asyncio.fixture(scope="session")
async def history_pool(history_settings: BalanceSettings) -> AsyncIterator[Pool]:
    """Connections like those of the service."""
    conninfo = service_conninfo(history_settings.database_uri, schema=SCHEMA, role=history_settings.database_role)
    async with make_pool(conninfo, size_max=4) as pool:
        yield pool


@pytest.fixture
def new_owner(history: BalanceServiceStub, identities: Identities, history_uri: str) -> Callable[[], Owner]:
    return lambda: Owner([history], identities, history_uri)


@pytest.fixture
def owner(new_owner: Callable[[], Owner]) -> Owner:
    return new_owner()


@pytest.fixture
def staff(identities: Identities) -> Metadata:
    return identities.customer("staff-1", roles=("staff",))


@pytest_asyncio.fixture
async def beside(history_settings: BalanceSettings) -> AsyncIterator[BalanceServiceStub]:
    """Another server over the same database."""
    async with served(service_parts(BalanceContainer(settings=history_settings))) as server:
        yield BalanceServiceStub(server.channel)
