"""Every customer gets a points account, whatever is away when they register."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest

from services.customers.container import CustomersContainer, resources
from services.customers.domain.names import account_request_id
from services.customers.settings import CustomersSettings
from shared.testing.servers import free_port
from tests.customers.client import Auth, new_login, until
from tests.customers.servers import customers_served, own_database, query

MISSING = "select count(*) from customer where account_opened_at is null"
JOBS = "select count(*) from procrastinate_jobs"


@pytest.fixture
def settings(customers_settings: CustomersSettings, postgres_server_uri: str) -> Iterator[CustomersSettings]:
    with own_database(customers_settings, postgres_server_uri) as own:
        yield own


async def test_a_customer_and_the_job_that_opens_the_account_are_one_commit(settings: CustomersSettings) -> None:
    async with customers_served(settings, background_work=False) as server:
        registered = await Auth(server.channel).register(new_login())

    ((name, arguments, queue),) = query(settings, "select task_name, args, queue_name from procrastinate_jobs")
    assert (name, arguments, queue) == ("open_account", {"customer_id": registered.customer.rpartition("/")[2]}, "customers")


async def test_who_registers_while_the_balance_service_is_away_gets_the_account_when_it_is_back(settings: CustomersSettings) -> None:
    async with customers_served(settings, balance_address=f"127.0.0.1:{free_port()}") as server:
        assert (await Auth(server.channel).register(new_login())).customer
        await until(lambda: query(settings, "select max(attempts) from procrastinate_jobs") > [(0,)])
        assert query(settings, MISSING) == [(1,)]

    async with customers_served(settings):
        await until(lambda: query(settings, MISSING) == [(0,)], within_s=20)
        await until(lambda: query(settings, JOBS) == [(0,)])


async def test_a_customer_whose_job_was_lost_is_found_by_the_housekeeping(settings: CustomersSettings) -> None:
    async with customers_served(settings, background_work=False) as server:
        await Auth(server.channel).register(new_login())
    query(settings, "delete from procrastinate_jobs")

    async with customers_served(settings, housekeeping_s=0.05, account_late_after_s=0):
        await until(lambda: query(settings, MISSING) == [(0,)])


async def test_the_housekeeping_leaves_those_alone_who_have_just_registered(settings: CustomersSettings) -> None:
    async with customers_served(settings, background_work=False) as server:
        await Auth(server.channel).register(new_login())
    container = CustomersContainer(settings=settings)

    async with resources(container)[0]:
        assert await container.accounts().open_missing(older_than_s=60) == (0, 0)


async def test_the_housekeeping_forgets_failed_logins_of_long_ago(settings: CustomersSettings) -> None:
    for address, ends_in in (("old", "-1 second"), ("new", "1 minute")):
        insert = "insert into login_failure values (%s, '', 1, clock_timestamp() + %s::interval)"
        query(settings, insert, address, ends_in)

    async with customers_served(settings, housekeeping_s=0.05):
        await until(lambda: query(settings, "select address from login_failure") == [("new",)])


async def test_more_customers_than_a_batch_get_their_accounts(settings: CustomersSettings) -> None:
    insert = """insert into customer (customer_id, login, registration_request_id, display_name, phone, email, roles, version, created_at,
                                      updated_at)
                select gen_random_uuid(), 'login ' || number, gen_random_uuid(), '', '', '', array['customer'], 1, now(), now()
                from generate_series(1, 103) as number"""
    query(settings, insert)
    container = CustomersContainer(settings=settings)
    database, _reads, _jobs, balance, _turns = resources(container)

    async with database, balance:
        assert await container.accounts().open_missing(older_than_s=0) == (103, 0)
        assert await container.accounts().open_missing(older_than_s=0) == (0, 0)


def test_an_account_is_opened_under_the_same_request_id_at_each_try() -> None:
    first, second = UUID(int=1), UUID(int=2)

    assert account_request_id(first) == account_request_id(first) != account_request_id(second)
