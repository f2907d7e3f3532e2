"""Two servers over one database, and people and services that use them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import pytest
import pytest_asyncio
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from services.balance.container import BalanceContainer, service_parts
from services.balance.settings import BalanceSettings
from shared.testing.identities import Identities
from shared.testing.servers import served
from tests.balance.world import Owner


@pytest_asyncio.fixture(scope="session")
async def ledgers(balance_settings: BalanceSettings) -> AsyncIterator[Sequence[BalanceServiceStub]]:
    """Two servers that allow any number of refusals: tests of what is refused must not run into the limit."""
    patient = balance_settings.model_copy(update={"refusals_burst": 1_000_000})
    first, second = (service_parts(BalanceContainer(settings=patient)) for _ in range(2))
    async with served(first) as one, served(second) as two:
        yield [BalanceServiceStub(one.channel), BalanceServiceStub(two.channel)]


@pytest.fixture
def new_owner(ledgers: Sequence[BalanceServiceStub], identities: Identities, database_uri: str) -> Callable[[], Owner]:
    return lambda: Owner(ledgers, identities, database_uri)


@pytest.fixture
def owner(new_owner: Callable[[], Owner]) -> Owner:
    return new_owner()
