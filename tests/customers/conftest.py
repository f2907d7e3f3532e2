from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from services.customers.container import CustomersContainer, service_parts
from services.customers.migrations.schema import schema
from services.customers.settings import CustomersSettings
from shared.postgres.migrations import migrate
from shared.testing.databases import make_role
from shared.testing.identities import Identities, bearer
from shared.testing.servers import ServedService, served
from tests.customers.client import Auth, Customers, Person, RegisterPerson, new_login


@pytest.fixture(scope="session")
def customers_role(database_uri: str) -> str:
    """The role of the service, with the privileges that `migrate` gives; the schema is made with it."""
    role = make_role(database_uri, "customers_app")
    migrate(schema, database_uri, role=role)
    return role


@pytest.fixture(scope="session")
def service_token_file(identities: Identities, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "customers.jwt"
    path.write_text(identities.service_token("customers"))
    return path


@pytest.fixture(scope="session")
def customers_settings(
    database_uri: str, customers_role: str, identities: Identities, service_token_file: Path, balance_server: ServedService
) -> CustomersSettings:
    return CustomersSettings(
        database_uri=database_uri,
        database_role=customers_role,
        jwks_file=identities.jwks_file,
        page_token_key_file=identities.page_token_key_file,
        signing_key_file=identities.signing_key_file,
        service_token_file=service_token_file,
        balance_address=balance_server.address,
        argon2_memory_kib=8,
        argon2_iterations=1,
        argon2_lanes=1,
        failed_logins_per_address_max=100_000,
    )


@pytest_asyncio.fixture(scope="session")
async def customers_server(customers_settings: CustomersSettings) -> AsyncIterator[ServedService]:
    async with served(service_parts(CustomersContainer(settings=customers_settings))) as server:
        yield server


@pytest.fixture(scope="session")
def auth(customers_server: ServedService) -> Auth:
    return Auth(customers_server.channel)


@pytest.fixture
def register_person(auth: Auth, customers_server: ServedService) -> RegisterPerson:
    async def register() -> Person:
        login = new_login()
        registered = await auth.register(login)
        token = registered.token.value
        return Person(registered.customer, login, token, Customers(customers_server.channel, bearer(token)))

    return register


@pytest_asyncio.fixture
async def person(register_person: RegisterPerson) -> Person:
    return await register_person()


@pytest.fixture
def admin(customers_server: ServedService, identities: Identities) -> Customers:
    """The calls of an administrator."""
    return Customers(customers_server.channel, identities.customer(str(uuid4()), roles=("customer", "admin")))
