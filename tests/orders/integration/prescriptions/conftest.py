"""Callers of the prescriptions, and the database of the service for what is tested below the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.adapters.postgres.tables import SCHEMA
from services.orders.settings import OrdersSettings
from shared.postgres.conninfo import service_conninfo
from shared.postgres.engine import disposing, make_engine
from shared.testing.identities import Identities
from shared.testing.servers import ServedService
from tests.orders.catalogue_client import Catalogue, Prescriptions, medicine
from tests.orders.world import new_customer

PHARMACIST = "pharmacist"


@pytest_asyncio.fixture(scope="module")
async def engine(orders_settings: OrdersSettings) -> AsyncIterator[AsyncEngine]:
    conninfo = service_conninfo(orders_settings.database_uri, schema=SCHEMA, role=orders_settings.database_role)
    async with disposing(make_engine(conninfo, size_max=8, wait_limit_s=30)) as engine:
        yield engine


@pytest.fixture
def customer_id() -> str:
    return new_customer()


@pytest.fixture
def own(orders_server: ServedService, identities: Identities, customer_id: str) -> Prescriptions:
    """The customer's own calls."""
    return Prescriptions(orders_server.channel, identities.customer(customer_id))


@pytest.fixture
def pharmacist(orders_server: ServedService, identities: Identities) -> Prescriptions:
    return Prescriptions(orders_server.channel, identities.customer(PHARMACIST, roles=("customer", "pharmacist")))


@pytest.fixture
def catalogue(orders_server: ServedService, identities: Identities) -> Catalogue:
    return Catalogue(orders_server.channel, identities.customer(PHARMACIST, roles=("customer", "staff")))


@pytest_asyncio.fixture
async def sku(catalogue: Catalogue) -> str:
    """A medicine that is not controlled."""
    return (await catalogue.create(medicine(rx_required=True))).sku
