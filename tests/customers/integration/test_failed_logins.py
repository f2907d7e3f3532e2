"""Guessing passwords is limited, for each address and for each account tried from it; only failures count."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from uuid import uuid4

import grpc
import pytest
import pytest_asyncio

from services.customers.settings import CustomersSettings
from shared.testing.errors import refusal_of
from shared.testing.identities import Metadata
from shared.testing.servers import ServedService
from tests.customers.client import Auth, new_login, until
from tests.customers.servers import customers_served, query

PER_ACCOUNT, PER_ADDRESS, WINDOW_S = 4, 9, 60


def coming_from(address: str) -> Metadata:
    return (("x-forwarded-for", address),)


@pytest.fixture
def address() -> str:
    """An address that nobody has come from yet."""
    value = uuid4().int
    return f"100.{value % 200}.{value // 200 % 250}.{value // 50_000 % 250}"


@pytest.fixture(scope="module")
def strict_settings(customers_settings: CustomersSettings) -> CustomersSettings:
    return customers_settings.model_copy(
        update={
            "failed_logins_per_account_max": PER_ACCOUNT,
            "failed_logins_per_address_max": PER_ADDRESS,
            "failed_logins_window_s": WINDOW_S,
            "background_work": False,
            "hashes_max": 2,
            "hashes_waiting_max": 200,
        }
    )


@pytest_asyncio.fixture(scope="module")
async def strict_server(strict_settings: CustomersSettings) -> AsyncIterator[ServedService]:
    async with customers_served(strict_settings) as server:
        yield server


@pytest.fixture
def strict(strict_server: ServedService) -> Auth:
    return Auth(strict_server.channel)


async def fail(auth: Auth, login: str, address: str, times: int) -> list[str]:
    return [(await refusal_of(auth.log_in(login, password="wrong", metadata=coming_from(address)))).reason for _ in range(times)]


async def test_after_too_many_failures_even_the_right_password_has_to_wait(strict: Auth, address: str) -> None:
    login = new_login()
    await strict.register(login)
    assert await fail(strict, login, address, PER_ACCOUNT) == ["WRONG_CREDENTIALS"] * PER_ACCOUNT

    refusal = await refusal_of(strict.log_in(login, metadata=coming_from(address)))

    assert (refusal.code, refusal.domain, refusal.reason) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "customers.galen",
        "TOO_MANY_FAILED_LOGINS",
    )
    assert refusal.retry_after_s is not None
    assert WINDOW_S - 10 < refusal.retry_after_s <= WINDOW_S


async def test_who_comes_from_another_address_is_not_locked_out(strict: Auth, address: str) -> None:
    login = new_login()
    await strict.register(login)
    await fail(strict, login, address, PER_ACCOUNT + 1)

    assert (await strict.log_in(login, metadata=coming_from(f"{address}, 203.0.113.7"))).customer


async def test_other_accounts_are_open_until_the_address_is_used_up(strict: Auth, address: str) -> None:
    first, second, third = new_login(), new_login(), new_login()
    await strict.register(third)
    await fail(strict, first, address, PER_ACCOUNT)
    assert (await strict.log_in(third, metadata=coming_from(address))).customer

    await fail(strict, second, address, PER_ACCOUNT)
    await fail(strict, new_login(), address, PER_ADDRESS - 2 * PER_ACCOUNT)

    assert (await refusal_of(strict.log_in(third, metadata=coming_from(address)))).reason == "TOO_MANY_FAILED_LOGINS"


async def test_right_passwords_do_not_count(strict: Auth, address: str) -> None:
    login = new_login()
    await strict.register(login)

    for _ in range(3 * PER_ACCOUNT):
        assert (await strict.log_in(login, metadata=coming_from(address))).customer


async def test_refusals_do_not_count_either_and_the_window_ends(strict: Auth, strict_settings: CustomersSettings, address: str) -> None:
    login = new_login()
    await strict.register(login)
    await fail(strict, login, address, 3 * PER_ACCOUNT)
    assert query(strict_settings, "select sum(failures) from login_failure where address = %s", address) == [(2 * PER_ACCOUNT,)]

    query(strict_settings, "update login_failure set window_ends_at = clock_timestamp() where address = %s", address)

    assert (await strict.log_in(login, metadata=coming_from(address))).customer
    assert await fail(strict, login, address, PER_ACCOUNT) == ["WRONG_CREDENTIALS"] * PER_ACCOUNT


async def test_guesses_made_at_once_exceed_the_limit_by_less_than_the_turns_of_all_replicas(
    strict_settings: CustomersSettings, address: str
) -> None:
    """Goal: the limit holds however fast one guesses. With 2 turns in each of 2 replicas at most 3 guesses can slip through."""
    login = new_login()
    async with customers_served(strict_settings) as first, customers_served(strict_settings) as second:
        servers = [Auth(first.channel), Auth(second.channel)]
        await servers[0].register(login)
        guesses = [servers[number % 2].log_in(login, password=f"guess {number}", metadata=coming_from(address)) for number in range(120)]

        found = Counter(refusal.reason for refusal in await asyncio.gather(*map(refusal_of, guesses)))

    assert set(found) == {"WRONG_CREDENTIALS", "TOO_MANY_FAILED_LOGINS"}
    assert PER_ACCOUNT <= found["WRONG_CREDENTIALS"] <= PER_ACCOUNT + 2 * 2 - 1


async def test_a_guess_counts_also_if_the_guesser_does_not_wait_for_the_answer(strict_settings: CustomersSettings, address: str) -> None:
    """Goal: nobody guesses for free by hanging up. The hash is made slow enough to hang up while it is being computed."""
    login = new_login()
    async with customers_served(strict_settings, argon2_iterations=200, argon2_memory_kib=16_384) as server:
        auth = Auth(server.channel)
        with pytest.raises(grpc.aio.AioRpcError) as hung_up:
            await auth.log_in(login, password="wrong", metadata=coming_from(address), timeout=0.5)
        assert hung_up.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

        counted = "select failures from login_failure where address = %s and account = ''"
        await until(lambda: query(strict_settings, counted, address) == [(1,)], within_s=60)


async def test_the_password_of_a_registration_can_not_be_guessed_by_repeating_it(strict: Auth, address: str) -> None:
    login, request_id = new_login(), str(uuid4())
    await strict.register(login, request_id=request_id)

    async def guess() -> str:
        again = strict.register(login, password="wrong", request_id=request_id, metadata=coming_from(address))
        return (await refusal_of(again)).reason

    assert [await guess() for _ in range(PER_ACCOUNT + 1)] == ["LOGIN_TAKEN"] * PER_ACCOUNT + ["TOO_MANY_FAILED_LOGINS"]


async def test_addresses_are_believed_from_trusted_proxies_only(strict_settings: CustomersSettings, address: str) -> None:
    login = new_login()
    async with customers_served(strict_settings, trusted_proxies="10.0.0.0/8") as server:
        await fail(Auth(server.channel), login, address, 1)

    assert query(strict_settings, "select failures from login_failure where address = %s", address) == []
    query(strict_settings, "delete from login_failure where address = '127.0.0.1'")


async def test_what_was_typed_as_a_login_is_not_stored(strict: Auth, strict_settings: CustomersSettings, address: str) -> None:
    await fail(strict, "my password, typed into the wrong field", address, 1)

    rows = query(strict_settings, "select login_failure::text, encode(account, 'escape') from login_failure where address = %s", address)

    assert len(rows) == 2
    assert "my password" not in repr(rows)
