"""For whom an order is and where it goes, in one answer."""

from __future__ import annotations

from uuid import uuid4

import grpc
import pytest

from shared.testing.errors import refusal_of
from shared.testing.identities import Identities
from shared.testing.servers import ServedService
from tests.customers.client import Customers, Person, RegisterPerson


@pytest.fixture
def orders(customers_server: ServedService, identities: Identities) -> Customers:
    """The calls of the orders service."""
    return Customers(customers_server.channel, identities.service("orders"))


async def test_profile_and_address_come_together_as_each_is_read_alone(person: Person, orders: Customers) -> None:
    await person.calls.update(person.name, display_name="Ada", phone="+35312345678")
    addresses = [await person.calls.create_address(person.name, city=city) for city in ("Cork", "Galway")]

    for address in addresses:
        found = await orders.recipient(person.name, address.name)
        assert found.customer == await person.calls.get(person.name)
        assert found.address == address


async def test_without_an_address_the_profile_comes_alone(person: Person, orders: Customers) -> None:
    found = await orders.recipient(person.name, "")

    assert found.customer == await person.calls.get(person.name)
    assert not found.HasField("address")


async def test_an_address_that_is_not_the_customers_is_not_found(
    person: Person, orders: Customers, register_person: RegisterPerson
) -> None:
    other = await register_person()
    address = (await other.calls.create_address(other.name)).name
    _, _, _, address_id = address.split("/")

    for wrong in (address, f"{person.name}/addresses/{address_id}", f"{person.name}/addresses/{uuid4()}", f"{person.name}/addresses/1"):
        assert (await refusal_of(orders.recipient(person.name, wrong))).reason == "ADDRESS_NOT_FOUND"
    assert (await orders.recipient(other.name, address)).address.name == address


async def test_who_does_not_exist_is_not_found_whatever_the_address(orders: Customers) -> None:
    for name in (f"customers/{uuid4()}", "customers/nobody"):
        for address in ("", f"{name}/addresses/{uuid4()}", f"{name}/addresses/1"):
            assert (await refusal_of(orders.recipient(name, address))).reason == "CUSTOMER_NOT_FOUND"


async def test_people_and_other_services_may_not_ask(
    person: Person, admin: Customers, customers_server: ServedService, identities: Identities
) -> None:
    accrual = Customers(customers_server.channel, identities.service("accrual"))
    for asker in (person.calls, admin, accrual):
        assert (await refusal_of(asker.recipient(person.name, ""))).code is grpc.StatusCode.PERMISSION_DENIED
