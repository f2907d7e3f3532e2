"""Orders and the real customers service: the calls, the identity and the refusals fit together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from services.customers.container import CustomersContainer
from services.customers.container import service_parts as customers_parts
from services.customers.migrations.schema import schema
from services.customers.settings import CustomersSettings
from services.orders.container import OrdersContainer, service_parts
from services.orders.settings import OrdersSettings
from shared.postgres.migrations import migrate
from shared.testing.databases import fresh_database
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities, bearer
from shared.testing.servers import ServedService, served
from tests.customers.client import Auth, Customers, new_login
from tests.orders.counter import Counter
from tests.orders.customers_peer import NOBODY
from tests.orders.orders_client import Orders, line


@pytest.fixture
def customers_database(postgres_server_uri: str) -> Iterator[str]:
    with fresh_database(postgres_server_uri) as uri:
        migrate(schema, uri)
        yield uri


@pytest_asyncio.fixture
async def customers_server(customers_database: str, identities: Identities, tmp_path: Path) -> AsyncIterator[ServedService]:
    token = tmp_path / "customers.jwt"
    token.write_text(identities.service_token("customers"))
    settings = CustomersSettings(
        database_uri=customers_database,
        jwks_file=identities.jwks_file,
        page_token_key_file=identities.page_token_key_file,
        signing_key_file=identities.signing_key_file,
        service_token_file=token,
        argon2_memory_kib=8,
        argon2_iterations=1,
        argon2_lanes=1,
        background_work=False,
    )
    async with served(customers_parts(CustomersContainer(settings=settings))) as server:
        yield server


@pytest_asyncio.fixture
async def orders_channel(orders_settings: OrdersSettings, customers_server: ServedService) -> AsyncIterator[ServedService]:
    settings = orders_settings.model_copy(update={"customers_address": customers_server.address, "background_work": False})
    async with served(service_parts(OrdersContainer(settings=settings))) as server:
        yield server


@pytest.mark.usefixtures("people")
async def test_an_order_has_the_profile_and_the_address_of_a_registered_customer(
    customers_server: ServedService, orders_channel: ServedService, counter: Counter, identities: Identities
) -> None:
    login = new_login()
    registered = await Auth(customers_server.channel).register(login)
    metadata = bearer(registered.token.value)
    person = Customers(customers_server.channel, metadata)
    address = await person.create_address(registered.customer)
    customer = Orders(orders_channel.channel, registered.customer.removeprefix("customers/"), metadata)
    sku = await counter.medicine()

    order = await customer.create(line(sku), location=counter.location, address=address.name)

    assert order.contact.display_name == login
    assert order.delivery_address.address == address.name
    assert (order.delivery_address.recipient, order.delivery_address.city) == (address.recipient, address.city)
    nowhere = f"{customer.name}/addresses/{uuid4()}"
    assert (await refusal_of(customer.create(line(sku), location=counter.location, address=nowhere))).reason == "ADDRESS_NOT_FOUND"
    staff = Orders(orders_channel.channel, "staff", identities.customer("staff", roles=("customer", "staff")))
    unknown = await refusal_of(staff.create(line(sku), location=counter.location, parent=f"customers/{NOBODY}"))
    assert unknown.reason == "CUSTOMER_NOT_FOUND"
    odd = await refusal_of(staff.create(line(sku), location=counter.location, parent="customers/not-a-uuid"))
    assert odd.reason == "CUSTOMER_NOT_FOUND"
