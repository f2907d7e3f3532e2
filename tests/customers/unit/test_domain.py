"""The rules of customers and addresses."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.customers.domain.address import ADDRESSES_MAX, Address, Place, check_room, moved
from services.customers.domain.customer import ADMIN, CUSTOMER, ROLES, Customer, ProfileChange, etag_of, with_profile, with_roles
from services.customers.domain.errors import AddressNotFound, CustomerNotFound, EtagMismatch, LastAdmin, TooManyAddresses
from services.customers.domain.login import Attempt, normalized_login, registrable_login
from services.customers.domain.names import address_name, customer_name, parse_address, parse_customer
from shared.errors import InvalidRequest

NOBODY = "3f1e6a52-9b0c-4d7e-8a41-2c5d6e7f8091"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)
ADA = Customer(uuid4(), "ada", created_at=NOW, updated_at=NOW, display_name="Ada", phone="+35312345", email="ada@example.com")
PLACE = Place("Ada", "", ("1 Main Street",), "Cork", "", "IE")
roles = st.sets(st.sampled_from(ROLES))


def test_a_profile_change_sets_what_it_names_even_to_nothing_and_leaves_the_rest() -> None:
    changed = with_profile(ADA, ProfileChange(phone=""), "", LATER)

    assert (changed.display_name, changed.phone, changed.email) == ("Ada", "", "ada@example.com")
    assert (changed.version, changed.updated_at, changed.created_at) == (2, LATER, NOW)


@pytest.mark.parametrize("etag", ["1", "2", '"2"', 'W/"1"'])
def test_a_change_from_another_state_is_refused(etag: str) -> None:
    with pytest.raises(EtagMismatch):
        with_profile(ADA, ProfileChange(phone=""), etag, LATER)
    with pytest.raises(EtagMismatch):
        moved(Address(ADA.id, uuid4(), PLACE, NOW, NOW), PLACE, etag, LATER)


def test_a_change_from_this_state_or_from_any_is_done() -> None:
    assert with_profile(ADA, ProfileChange(), etag_of(1), LATER) == with_profile(ADA, ProfileChange(), "", LATER)


def test_time_does_not_run_backwards_where_clocks_differ() -> None:
    assert with_profile(ADA, ProfileChange(), "", NOW - timedelta(hours=1)).updated_at == NOW


@given(roles, roles, st.sets(st.uuids(), max_size=3))
def test_everyone_is_a_customer_and_there_is_an_administrator_if_there_was_one(
    before: set[str], after: set[str], other_admins: set[UUID]
) -> None:
    customer = Customer(uuid4(), "ada", created_at=NOW, updated_at=NOW, roles=frozenset({CUSTOMER, *before}))
    admins = other_admins | ({customer.id} if ADMIN in before else set())
    try:
        changed = with_roles(customer, after, admins, LATER)
    except LastAdmin:
        assert admins == {customer.id}
        assert ADMIN not in after
        return

    assert changed.roles == {CUSTOMER, *after}
    admins_after = (admins - {customer.id}) | ({customer.id} if ADMIN in changed.roles else set())
    assert bool(admins_after) >= bool(admins)


@pytest.mark.parametrize("kept", [0, ADDRESSES_MAX - 1])
def test_there_is_room_for_fifty_addresses(kept: int) -> None:
    check_room(kept)


def test_there_is_no_room_for_one_more() -> None:
    with pytest.raises(TooManyAddresses) as refused:
        check_room(50)
    assert refused.value.metadata == {"limit": "50"}


@given(st.text(min_size=1, max_size=128))
def test_what_may_be_registered_is_found_again_however_it_is_written(text: str) -> None:
    try:
        login = registrable_login(text)
    except InvalidRequest:
        return

    assert normalized_login(text) == normalized_login(login) == login
    assert normalized_login(unicodedata.normalize("NFD", text)) == login
    assert 1 <= len(login) <= 128
    assert "\0" not in login


@pytest.mark.parametrize("login", ["", "\0", "a\u0085b", "\ufdfa" * 8])
def test_a_login_is_judged_after_normalization(login: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        registrable_login(login)
    assert [violation.field for violation in refused.value.violations] == ["login"]


def test_attempts_are_told_apart_without_keeping_the_login() -> None:
    assert Attempt("a", "ada").account == Attempt("b", "ada").account != Attempt("a", "Ada").account
    assert b"ada" not in Attempt("a", "ada").account


@given(st.uuids(), st.uuids())
def test_names_are_read_as_they_are_written(customer_id: UUID, address_id: UUID) -> None:
    assert parse_customer(customer_name(customer_id)) == customer_id
    assert parse_address(address_name(customer_id, address_id)) == (customer_id, address_id)


@pytest.mark.parametrize("text", ["x", "A" * 32, NOBODY.upper(), NOBODY.replace("-", ""), "-" * 36])
def test_other_spellings_name_nobody(text: str) -> None:
    with pytest.raises(CustomerNotFound):
        parse_customer(f"customers/{text}")
    with pytest.raises(AddressNotFound):
        parse_address(f"customers/{text}/addresses/{uuid4()}")
    with pytest.raises(AddressNotFound):
        parse_address(f"customers/{uuid4()}/addresses/{text}")
