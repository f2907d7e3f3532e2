from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_asyncio

from services.orders.settings import OrdersSettings
from shared.testing.identities import Identities
from shared.testing.servers import free_port
from tests.orders.customers_peer import People, people_served
from tests.orders.shop import QUICK, Shop, open_shop, shop_database


@pytest_asyncio.fixture(scope="session")
async def people() -> AsyncIterator[People]:
    async with people_served() as people:
        yield people


@pytest.fixture
def shop_settings(postgres_server_uri: str, identities: Identities, orders_token_file: Path) -> Iterator[OrdersSettings]:
    """Of a service in an empty database, with accrual being away."""
    with shop_database(postgres_server_uri) as (uri, role):
        yield OrdersSettings(
            database_uri=uri,
            database_role=role,
            jwks_file=identities.jwks_file,
            page_token_key_file=identities.page_token_key_file,
            service_token_file=orders_token_file,
            accrual_address=f"127.0.0.1:{free_port()}",
            **QUICK,
        )


class OpenShop(Protocol):
    """Runs a service with some settings changed."""

    def __call__(self, **changes: Any) -> AbstractAsyncContextManager[Shop]: ...


@pytest.fixture
def open_for(shop_settings: OrdersSettings, identities: Identities, people: People) -> OpenShop:
    def open_with(**changes: Any) -> AbstractAsyncContextManager[Shop]:
        return open_shop(OrdersSettings(**(shop_settings.model_dump() | changes)), identities, people)

    return open_with
