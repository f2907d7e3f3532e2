"""The accrual service's schema in the worker's database, for every test that runs the service."""

from __future__ import annotations

import pytest

from services.accrual.migrations.schema import schema
from shared.postgres.migrations import migrate
from shared.testing.databases import make_role


@pytest.fixture(scope="session")
def accrual_role(database_uri: str) -> str:
    """The role of the service, with the privileges that `migrate` gives; the schema is made with it."""
    role = make_role(database_uri, "accrual_app")
    migrate(schema, database_uri, role=role)
    return role
