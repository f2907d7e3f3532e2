"""The database of the service, for what is tested below the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.adapters.postgres.tables import SCHEMA
from services.orders.settings import OrdersSettings
from shared.postgres.conninfo import service_conninfo
from shared.postgres.engine import disposing, make_engine


@pytest_asyncio.fixture(scope="module")
async def engine(orders_settings: OrdersSettings) -> AsyncIterator[AsyncEngine]:
    conninfo = service_conninfo(orders_settings.database_uri, schema=SCHEMA, role=orders_settings.database_role)
    async with disposing(make_engine(conninfo, size_max=8, wait_limit_s=30)) as engine:
        yield engine
