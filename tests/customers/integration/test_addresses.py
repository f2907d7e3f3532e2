"""Addresses over gRPC."""

from __future__ import annotations

from uuid import uuid4

import grpc
import pytest

from shared.testing.errors import refusal_of
from tests.customers.client import Customers, Person, RegisterPerson, place

NOTHING = "3f1e6a52-9b0c-4d7e-8a41-2c5d6e7f8091"


async def test_an_address_is_kept_as_it_was_given(person: Person) -> None:
    created = await person.calls.create_address(person.name)

    assert created.name.startswith(f"{person.name}/addresses/")
    assert created.etag
    assert created.create_time == created.update_time
    assert await person.calls.get_address(created.name) == created
    given = place()
    assert all(
        getattr(created, field) == getattr(given, field) for field in ("recipient", "phone", "lines", "city", "postal_code", "country_code")
    )


async def test_addresses_are_listed_newest_first_in_pages(person: Person) -> None:
    names = [(await person.calls.create_address(person.name, city=f"Cork {number}")).name for number in range(5)]

    first = await person.calls.list_addresses(person.name, page_size=2)
    second = await person.calls.list_addresses(person.name, page_size=2, page_token=first.next_page_token)
    third = await person.calls.list_addresses(person.name, page_size=2, page_token=second.next_page_token)

    assert [address.name for page in (first, second, third) for address in page.addresses] == names[::-1]
    assert (len(third.addresses), third.next_page_token) == (1, "")
    assert [address.name for address in (await person.calls.list_addresses(person.name)).addresses] == names[::-1]


async def test_a_page_token_is_good_for_its_own_list_only(person: Person, register_person: RegisterPerson) -> None:
    other = await register_person()
    for owner in (person, person, other, other):
        await owner.calls.create_address(owner.name)
    token = (await person.calls.list_addresses(person.name, page_size=1)).next_page_token

    for wrong in (other.calls.list_addresses(other.name, page_token=token), person.calls.list_addresses(person.name, page_token="AAAA")):
        assert (await refusal_of(wrong)).reason == "INVALID_PAGE_TOKEN"


async def test_who_does_not_exist_has_no_addresses(admin: Customers) -> None:
    for name in (f"customers/{uuid4()}", "customers/nobody"):
        assert list((await admin.list_addresses(name)).addresses) == []


async def test_an_address_is_replaced_as_a_whole(person: Person) -> None:
    created = await person.calls.create_address(person.name)

    changed = await person.calls.update_address(created.name, city="Galway", postal_code="", phone="")

    assert (changed.name, changed.city, changed.postal_code, changed.phone) == (created.name, "Galway", "", "")
    assert changed.create_time == created.create_time
    assert changed.etag != created.etag
    assert await person.calls.get_address(created.name) == changed


async def test_a_replacement_with_the_etag_of_an_older_state_is_refused_and_a_repeat_of_one_that_was_done_is_not(person: Person) -> None:
    created, request_id = await person.calls.create_address(person.name), str(uuid4())
    changed = await person.calls.update_address(created.name, city="Galway", etag=created.etag, request_id=request_id)

    refusal = await refusal_of(person.calls.update_address(created.name, city="Sligo", etag=created.etag))
    again = await person.calls.update_address(created.name, city="Galway", etag=created.etag, request_id=request_id)

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    assert again == changed == await person.calls.get_address(created.name)


async def test_a_repeated_creation_makes_one_address(person: Person) -> None:
    request_id = str(uuid4())
    created = await person.calls.create_address(person.name, request_id=request_id)

    assert await person.calls.create_address(person.name, request_id=request_id) == created
    assert len((await person.calls.list_addresses(person.name)).addresses) == 1
    assert (await refusal_of(person.calls.create_address(person.name, city="Sligo", request_id=request_id))).reason == "REQUEST_ID_REUSED"


async def test_a_removed_address_is_gone_and_its_removal_can_be_repeated(person: Person) -> None:
    created, request_id = await person.calls.create_address(person.name), str(uuid4())

    await person.calls.delete_address(created.name, request_id=request_id)
    await person.calls.delete_address(created.name, request_id=request_id)

    for call in (
        person.calls.get_address(created.name),
        person.calls.update_address(created.name),
        person.calls.delete_address(created.name),
    ):
        refusal = await refusal_of(call)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "ADDRESS_NOT_FOUND")


async def test_an_address_is_found_under_its_owner_only(person: Person, register_person: RegisterPerson, admin: Customers) -> None:
    other = await register_person()
    created = await person.calls.create_address(person.name)
    moved = created.name.replace(person.name, other.name)

    assert (await refusal_of(other.calls.get_address(created.name))).reason == "ACCESS_DENIED"
    assert (await refusal_of(other.calls.delete_address(created.name))).reason == "ACCESS_DENIED"
    assert (await refusal_of(other.calls.get_address(moved))).reason == "ADDRESS_NOT_FOUND"
    assert (await refusal_of(other.calls.delete_address(moved))).reason == "ADDRESS_NOT_FOUND"
    assert (await admin.get_address(created.name)) == created


async def test_at_most_fifty_addresses_are_kept(person: Person) -> None:
    for _ in range(50):
        kept = await person.calls.create_address(person.name)

    refusal = await refusal_of(person.calls.create_address(person.name))
    assert (refusal.code, refusal.reason, refusal.metadata) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "TOO_MANY_ADDRESSES",
        {"limit": "50"},
    )

    await person.calls.delete_address(kept.name)
    await person.calls.create_address(person.name)


@pytest.mark.parametrize(
    "changes",
    [{"recipient": ""}, {"city": "a\nb"}, {"country_code": "ie"}, {"phone": "12"}, {"postal_code": "x" * 21}, {"city": "x" * 101}],
)
async def test_an_address_that_breaks_the_rules_is_refused(person: Person, changes: dict[str, str]) -> None:
    refusal = await refusal_of(person.calls.create_address(person.name, request_id=str(uuid4()), **changes))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


@pytest.mark.parametrize("address", ["nothing", NOTHING, NOTHING.upper()])
async def test_nothing_is_found_where_no_address_is(person: Person, address: str) -> None:
    assert (await refusal_of(person.calls.get_address(f"{person.name}/addresses/{address}"))).reason == "ADDRESS_NOT_FOUND"
