"""Callers of the catalogue."""

from __future__ import annotations

from uuid import uuid4

import pytest

from shared.testing.identities import Identities
from shared.testing.servers import ServedService
from tests.orders.catalogue_client import Catalogue


@pytest.fixture
def staff(orders_server: ServedService, identities: Identities) -> Catalogue:
    return Catalogue(orders_server.channel, identities.customer(str(uuid4()), roles=("customer", "staff")))


@pytest.fixture
def customer(orders_server: ServedService, identities: Identities) -> Catalogue:
    return Catalogue(orders_server.channel, identities.customer(str(uuid4())))
