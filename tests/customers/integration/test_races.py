"""Many at once: each test fails when the lock or constraint that it is about is taken out."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from galen.options.v1 import policy_pb2

from services.customers.settings import CustomersSettings
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities
from shared.testing.servers import ServedService
from tests.customers.client import Auth, Customers, Person, new_login
from tests.customers.servers import customers_served, own_database, query

CALLERS = 24


async def outcomes(calls: Sequence[Awaitable[Any]]) -> Counter[str]:
    """Makes the calls at once; returns how often each reason came, `done` where there was none."""

    async def outcome(call: Awaitable[Any]) -> str:
        try:
            return (await refusal_of(call)).reason
        except AssertionError:
            return "done"

    return Counter(await asyncio.gather(*map(outcome, calls)))


@pytest_asyncio.fixture(scope="module")
async def pair(customers_settings: CustomersSettings) -> AsyncIterator[list[ServedService]]:
    """Two servers over one database, which hash many passwords at once."""
    changes = {"hashes_max": CALLERS, "background_work": False}
    async with customers_served(customers_settings, **changes) as first, customers_served(customers_settings, **changes) as second:
        yield [first, second]


async def test_one_login_registered_by_many_is_given_to_one(pair: list[ServedService], customers_settings: CustomersSettings) -> None:
    login = new_login()

    found = await outcomes([Auth(pair[number % 2].channel).register(login) for number in range(CALLERS)])

    assert found == {"done": 1, "LOGIN_TAKEN": CALLERS - 1}
    assert query(customers_settings, "select count(*) from customer where login = %s", login) == [(1,)]


async def test_one_registration_sent_many_times_makes_one_customer_and_one_job(
    pair: list[ServedService], customers_settings: CustomersSettings
) -> None:
    login, request_id = new_login(), str(uuid4())

    answers = await asyncio.gather(*(Auth(pair[number % 2].channel).register(login, request_id=request_id) for number in range(CALLERS)))

    assert len({answer.customer for answer in answers}) == 1
    assert query(customers_settings, "select count(*) from customer where login = %s", login) == [(1,)]


async def test_of_many_changes_made_from_one_state_one_is_done(pair: list[ServedService], person: Person) -> None:
    etag = (await person.calls.get(person.name)).etag
    callers = [Customers(pair[number % 2].channel, person.calls.metadata) for number in range(12)]

    found = await outcomes([caller.update(person.name, display_name=f"{number}", etag=etag) for number, caller in enumerate(callers)])

    assert found == {"done": 1, "ETAG_MISMATCH": 11}


async def test_of_many_replacements_of_one_address_made_from_one_state_one_is_done(pair: list[ServedService], person: Person) -> None:
    address = await person.calls.create_address(person.name)
    callers = [Customers(pair[number % 2].channel, person.calls.metadata) for number in range(12)]

    found = await outcomes([caller.update_address(address.name, etag=address.etag) for caller in callers])

    assert found == {"done": 1, "ETAG_MISMATCH": 11}


async def test_one_change_sent_many_times_at_once_is_made_once(pair: list[ServedService], person: Person) -> None:
    request_id = str(uuid4())
    callers = [Customers(pair[number % 2].channel, person.calls.metadata) for number in range(12)]

    created = await asyncio.gather(*(caller.create_address(person.name, request_id=request_id) for caller in callers))

    assert len({address.name for address in created}) == 1
    assert len((await person.calls.list_addresses(person.name)).addresses) == 1


async def test_the_last_free_place_for_an_address_is_given_to_one(pair: list[ServedService], person: Person) -> None:
    for _ in range(49):
        await person.calls.create_address(person.name)
    callers = [Customers(pair[number % 2].channel, person.calls.metadata) for number in range(12)]

    found = await outcomes([caller.create_address(person.name) for caller in callers])

    assert found == {"done": 1, "TOO_MANY_ADDRESSES": 11}
    assert len((await person.calls.list_addresses(person.name)).addresses) == 50


@pytest.mark.parametrize("number_of_admins", [2, 4])
async def test_administrators_who_demote_each_other_at_once_leave_one(
    customers_settings: CustomersSettings, postgres_server_uri: str, identities: Identities, number_of_admins: int
) -> None:
    with own_database(customers_settings, postgres_server_uri) as settings:
        async with (
            customers_served(settings, background_work=False) as first,
            customers_served(settings, background_work=False) as second,
        ):
            servers = [first, second]
            names = [(await Auth(first.channel).register(new_login())).customer for _ in range(number_of_admins)]
            admins = [
                Customers(servers[number % 2].channel, identities.customer(name.rpartition("/")[2], roles=("admin",)))
                for number, name in enumerate(names)
            ]
            for _ in range(8):
                query(settings, "update customer set roles = array['customer', 'admin']")

                found = await outcomes([admin.set_roles(names[number - 1]) for number, admin in enumerate(admins)])

                assert found == {"done": number_of_admins - 1, "LAST_ADMIN": 1}
                assert query(settings, "select count(*) from customer where 'admin' = any (roles)") == [(1,)]


async def test_the_last_administrator_keeps_the_role_and_may_get_more(
    customers_settings: CustomersSettings, postgres_server_uri: str, identities: Identities
) -> None:
    with own_database(customers_settings, postgres_server_uri) as settings:
        async with customers_served(settings, background_work=False) as server:
            name = (await Auth(server.channel).register(new_login())).customer
            customer_id = UUID(name.rpartition("/")[2])
            query(settings, "update customer set roles = array['customer', 'admin'] where customer_id = %s", customer_id)
            admin = Customers(server.channel, identities.customer(str(customer_id), roles=("admin",)))

            assert (await refusal_of(admin.set_roles(name))).reason == "LAST_ADMIN"
            changed = await admin.set_roles(name, policy_pb2.ROLE_ADMIN, policy_pb2.ROLE_STAFF)

            assert policy_pb2.ROLE_ADMIN in changed.roles
