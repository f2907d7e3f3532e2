"""For whom orders are and where they go, many in one call, each with an outcome of its own."""

from __future__ import annotations

from uuid import UUID, uuid4

import grpc
import pytest
from galen.customers.v1.customer_service_pb2 import RecipientResult
from galen.options.v1 import policy_pb2
from google.rpc.code_pb2 import NOT_FOUND
from google.rpc.error_details_pb2 import ErrorInfo

from shared.testing.errors import refusal_of
from shared.testing.identities import Identities
from shared.testing.servers import ServedService
from tests.customers.client import Customers, Person, RegisterPerson

QUERIES_MAX = 100


@pytest.fixture
def orders(customers_server: ServedService, identities: Identities) -> Customers:
    """The calls of the orders service."""
    return Customers(customers_server.channel, identities.service("orders"))


def reason_of(result: RecipientResult) -> str:
    """Returns why a query has no recipient; empty if it has one."""
    info = ErrorInfo()
    if result.HasField("error"):
        assert (result.error.code, result.error.details[0].Unpack(info), info.domain) == (NOT_FOUND, True, "customers.galen")
    return str(info.reason)


async def test_profile_and_address_come_together_as_each_is_read_alone(person: Person, orders: Customers) -> None:
    await person.calls.update(person.name, display_name="Ada", phone="+35312345678", email="ada@example.com")
    addresses = [await person.calls.create_address(person.name, city=city) for city in ("Cork", "Galway")]
    changed = await person.calls.update_address(addresses[1].name, city="Sligo", postal_code="", phone="")

    found = await orders.recipients(*((person.name, address.name) for address in addresses))

    assert [one.recipient.customer for one in found] == [await person.calls.get(person.name)] * 2
    assert [one.recipient.address for one in found] == [addresses[0], changed]


async def test_without_an_address_the_profile_comes_alone(person: Person, orders: Customers) -> None:
    (found,) = await orders.recipients((person.name, ""))

    assert found.recipient.customer == await person.calls.get(person.name)
    assert not found.recipient.HasField("address")


async def test_roles_that_were_given_are_told(person: Person, admin: Customers, orders: Customers) -> None:
    given = await admin.set_roles(person.name, policy_pb2.ROLE_STAFF, policy_pb2.ROLE_PHARMACIST)

    (found,) = await orders.recipients((person.name, ""))

    assert len(given.roles) == 3
    assert found.recipient.customer == given


async def test_each_query_is_answered_in_its_place_whatever_becomes_of_the_others(
    person: Person, orders: Customers, register_person: RegisterPerson
) -> None:
    other = await register_person()
    own, others = [await one.calls.create_address(one.name) for one in (person, other)]
    queries = {
        (f"customers/{uuid4()}", ""): "CUSTOMER_NOT_FOUND",
        (person.name, own.name): "",
        (person.name, others.name): "ADDRESS_NOT_FOUND",
        ("customers/nobody", "customers/nobody/addresses/1"): "CUSTOMER_NOT_FOUND",
        (other.name, others.name): "",
        (person.name, f"{person.name}/addresses/1"): "ADDRESS_NOT_FOUND",
        (person.name, ""): "",
    }

    found = await orders.recipients(*queries)

    assert [reason_of(result) for result in found] == list(queries.values())
    assert [one.recipient.customer.name for one in found] == ["", person.name, "", "", other.name, "", person.name]
    assert [one.recipient.address.name for one in found] == ["", own.name, "", "", others.name, "", ""]


async def test_an_address_that_is_not_the_customers_is_not_found(
    person: Person, orders: Customers, register_person: RegisterPerson
) -> None:
    other = await register_person()
    own, others = [(await one.calls.create_address(one.name)).name.rpartition("/")[2] for one in (person, other)]
    wrong = [
        (person.name, f"{other.name}/addresses/{others}"),
        (person.name, f"{other.name}/addresses/{own}"),
        (person.name, f"{person.name}/addresses/{others}"),
        (person.name, f"{person.name}/addresses/{uuid4()}"),
        (person.name, f"{person.name}/addresses/1"),
        (person.name, f"{person.name}/addresses/{UUID(own).hex}"),
    ]

    *found, right = await orders.recipients(*wrong, (person.name, f"{person.name}/addresses/{own}"))

    assert [reason_of(result) for result in found] == ["ADDRESS_NOT_FOUND"] * len(wrong)
    assert reason_of(right) == ""


async def test_who_does_not_exist_is_not_found_whatever_the_address(person: Person, orders: Customers) -> None:
    address = (await person.calls.create_address(person.name)).name
    queries = [
        (name, query)
        for name in (f"customers/{uuid4()}", "customers/nobody", person.name.upper().replace("CUSTOMERS", "customers"))
        for query in ("", address, f"{name}/addresses/{uuid4()}", f"{name}/addresses/1")
    ]

    assert {reason_of(result) for result in await orders.recipients(*queries)} == {"CUSTOMER_NOT_FOUND"}


async def test_as_many_as_the_contract_allows_are_answered_and_none_or_more_are_refused(person: Person, orders: Customers) -> None:
    address = (await person.calls.create_address(person.name)).name
    queries = [(person.name, address if number % 2 else "") for number in range(QUERIES_MAX)]

    found = await orders.recipients(*queries)

    assert [one.recipient.address.name for one in found] == [address for _, address in queries]
    for refused in ([], [*queries, (person.name, "")]):
        refusal = await refusal_of(orders.recipients(*refused))
        assert (refusal.reason, refusal.code) == ("INVALID_REQUEST", grpc.StatusCode.INVALID_ARGUMENT)


@pytest.mark.parametrize("query", [("", ""), ("people/1", ""), ("customers/1", "addresses/1"), ("customers/1", "customers/1/addresses/")])
async def test_a_malformed_name_is_the_callers_fault(person: Person, orders: Customers, query: tuple[str, str]) -> None:
    assert (await refusal_of(orders.recipients((person.name, ""), query))).reason == "INVALID_REQUEST"


async def test_people_and_other_services_may_not_ask(
    person: Person, admin: Customers, customers_server: ServedService, identities: Identities
) -> None:
    others = [Customers(customers_server.channel, identities.service(name)) for name in ("accrual", "customers", "balance")]
    for asker in (person.calls, admin, *others):
        assert (await refusal_of(asker.recipients((person.name, "")))).code is grpc.StatusCode.PERMISSION_DENIED
    stranger = Customers(customers_server.channel, ())
    assert (await refusal_of(stranger.recipients((person.name, "")))).code is grpc.StatusCode.UNAUTHENTICATED
