"""Profiles and roles over gRPC."""

from __future__ import annotations

from uuid import uuid4

import grpc
import pytest
from galen.options.v1 import policy_pb2

from shared.testing.errors import refusal_of
from shared.testing.identities import Identities
from shared.testing.servers import ServedService
from tests.customers.client import Auth, Customers, Person, RegisterPerson

NOBODY = "3f1e6a52-9b0c-4d7e-8a41-2c5d6e7f8091"
CUSTOMER, STAFF, ADMIN = policy_pb2.ROLE_CUSTOMER, policy_pb2.ROLE_STAFF, policy_pb2.ROLE_ADMIN


async def test_a_new_customer_has_a_login_a_role_and_an_empty_profile(person: Person) -> None:
    customer = await person.calls.get(person.name)

    assert (customer.name, customer.login, list(customer.roles)) == (person.name, person.login, [CUSTOMER])
    assert (customer.display_name, customer.phone, customer.email) == ("", "", "")
    assert customer.create_time == customer.update_time
    assert customer.etag


async def test_only_the_fields_of_the_mask_change(person: Person) -> None:
    await person.calls.update(person.name, display_name="Ada", email="ada@example.com", phone="+35312345678")

    changed = await person.calls.update(person.name, display_name="", phone="+111111")

    assert (changed.display_name, changed.phone, changed.email) == ("", "+111111", "ada@example.com")
    assert changed == await person.calls.get(person.name)
    assert changed.update_time.ToDatetime() > changed.create_time.ToDatetime()


async def test_a_change_with_the_etag_of_an_older_state_is_refused(person: Person) -> None:
    read = await person.calls.get(person.name)
    changed = await person.calls.update(person.name, display_name="first", etag=read.etag)

    refusal = await refusal_of(person.calls.update(person.name, display_name="second", etag=read.etag))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    assert await person.calls.get(person.name) == changed
    assert changed.etag != read.etag


async def test_a_repeated_change_has_the_same_answer_even_when_its_etag_is_old_by_now(person: Person) -> None:
    read, request_id = await person.calls.get(person.name), str(uuid4())
    first = await person.calls.update(person.name, display_name="first", etag=read.etag, request_id=request_id)
    latest = await person.calls.update(person.name, display_name="second")

    again = await person.calls.update(person.name, display_name="first", etag=read.etag, request_id=request_id)

    assert again == first
    assert await person.calls.get(person.name) == latest


async def test_a_request_id_with_another_content_is_refused(person: Person) -> None:
    request_id = str(uuid4())
    changed = await person.calls.update(person.name, display_name="first", request_id=request_id)

    refusal = await refusal_of(person.calls.update(person.name, display_name="second", request_id=request_id))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert await person.calls.get(person.name) == changed


@pytest.mark.parametrize(
    "changes",
    [
        {"email": "not an address"},
        {"phone": "12345"},
        {"display_name": "x" * 201},
        {"display_name": "a\0b"},
        {"email": "a@" + "b" * 300 + ".com"},
    ],
)
async def test_a_profile_that_breaks_the_rules_is_refused(person: Person, changes: dict[str, str]) -> None:
    refusal = await refusal_of(person.calls.update(person.name, request_id=str(uuid4()), **changes))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


async def test_a_refused_change_leaves_its_request_id_free(person: Person) -> None:
    request_id = str(uuid4())
    await refusal_of(person.calls.update(person.name, display_name="Ada", etag='"99"', request_id=request_id))

    changed = await person.calls.update(person.name, display_name="Ada", request_id=request_id)

    assert changed.display_name == "Ada"


@pytest.mark.parametrize("customer", ["nobody", NOBODY, NOBODY.upper(), NOBODY.replace("-", "")])
async def test_nobody_is_found_where_nobody_has_registered(admin: Customers, customer: str) -> None:
    name = f"customers/{customer}"
    assert (await refusal_of(admin.get(name))).reason == "CUSTOMER_NOT_FOUND"
    assert (await refusal_of(admin.update(name, display_name="x"))).reason == "CUSTOMER_NOT_FOUND"
    assert (await refusal_of(admin.set_roles(name, STAFF))).reason == "CUSTOMER_NOT_FOUND"
    assert (await refusal_of(admin.create_address(name))).reason == "CUSTOMER_NOT_FOUND"


async def test_a_customer_has_one_spelling(person: Person, admin: Customers) -> None:
    assert (await refusal_of(admin.get(person.name.replace("-", "")))).reason == "CUSTOMER_NOT_FOUND"


async def test_customers_see_and_change_nobody_but_themselves(person: Person, register_person: RegisterPerson) -> None:
    other = await register_person()

    for call in (
        other.calls.get(person.name),
        other.calls.update(person.name, display_name="mine now"),
        other.calls.set_roles(other.name, ADMIN),
        other.calls.create_address(person.name),
        other.calls.list_addresses(person.name),
        other.calls.get("customers/nobody"),
    ):
        refusal = await refusal_of(call)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ACCESS_DENIED")


async def test_calls_without_a_token_or_with_a_forged_one_are_refused(customers_server: ServedService, person: Person) -> None:
    nobody = Customers(customers_server.channel, ())
    forged = Customers(customers_server.channel, (("authorization", f"Bearer {person.token[:-4]}AAAA"),))

    assert (await refusal_of(nobody.get(person.name))).reason == "CREDENTIALS_MISSING"
    assert (await refusal_of(forged.get(person.name))).reason == "CREDENTIALS_INVALID"


async def test_named_services_read_and_no_service_writes(customers_server: ServedService, identities: Identities, person: Person) -> None:
    orders = Customers(customers_server.channel, identities.service("orders"))
    accrual = Customers(customers_server.channel, identities.service("accrual"))

    assert (await orders.get(person.name)).name == person.name
    assert (await refusal_of(accrual.get(person.name))).reason == "ACCESS_DENIED"
    assert (await refusal_of(orders.update(person.name, display_name="x"))).reason == "ACCESS_DENIED"


async def test_staff_read_profiles_and_change_none(customers_server: ServedService, identities: Identities, person: Person) -> None:
    staff = Customers(customers_server.channel, identities.customer(str(uuid4()), roles=("customer", "staff")))

    assert (await staff.get(person.name)).name == person.name
    assert (await refusal_of(staff.update(person.name, display_name="x"))).reason == "ACCESS_DENIED"
    assert (await refusal_of(staff.set_roles(person.name, ADMIN))).reason == "ACCESS_DENIED"


async def test_roles_are_set_as_a_whole_and_stand_in_the_next_token(
    auth: Auth, customers_server: ServedService, admin: Customers, person: Person
) -> None:
    changed = await admin.set_roles(person.name, STAFF)
    assert list(changed.roles) == [CUSTOMER, STAFF]

    token = (await auth.log_in(person.login)).token.value
    as_staff = Customers(customers_server.channel, (("authorization", f"Bearer {token}"),))
    assert (await refusal_of(person.calls.get("customers/nobody"))).reason == "ACCESS_DENIED"
    assert (await refusal_of(as_staff.get("customers/nobody"))).reason == "CUSTOMER_NOT_FOUND"

    assert list((await admin.set_roles(person.name)).roles) == [CUSTOMER]


async def test_a_repeated_setting_of_roles_has_the_same_answer_and_no_effect(admin: Customers, person: Person) -> None:
    request_id = str(uuid4())
    first = await admin.set_roles(person.name, STAFF, request_id=request_id)
    latest = await admin.set_roles(person.name)

    assert await admin.set_roles(person.name, STAFF, request_id=request_id) == first
    assert await admin.get(person.name) == latest
    assert (await refusal_of(admin.set_roles(person.name, ADMIN, request_id=request_id))).reason == "REQUEST_ID_REUSED"


@pytest.mark.parametrize("roles", [[0], [77], [STAFF, STAFF]])
async def test_roles_that_do_not_exist_are_refused(admin: Customers, person: Person, roles: list[policy_pb2.Role.ValueType]) -> None:
    assert (await refusal_of(admin.set_roles(person.name, *roles))).reason == "INVALID_REQUEST"
