"""Opening accounts, housekeeping, and where the first administrator's password is read from."""

from __future__ import annotations

import asyncio
import contextlib
import io
from uuid import UUID

import pytest

from services.customers.application.open_account import BATCH, OpenAccount
from services.customers.domain.names import account_request_id
from services.customers.entrypoints.commands.credentials import AdminCredentials, PasswordUnusable
from services.customers.entrypoints.jobs.housekeeping import Housekeeping
from tests.customers.unit.fakes import CountedFailures, MemoryAccounts, MemoryCustomers

IDS = [UUID(int=number) for number in range(1, 2 * BATCH + 4)]


async def test_an_account_is_opened_under_a_key_of_the_customer_and_then_recorded() -> None:
    customers, accounts = MemoryCustomers([IDS[0]]), MemoryAccounts()

    await OpenAccount(customers, accounts).open(IDS[0])

    assert accounts.opened == [(IDS[0], account_request_id(IDS[0]))]
    assert customers.missing == []


async def test_nothing_is_recorded_while_the_balance_service_is_away() -> None:
    customers = MemoryCustomers([IDS[0]])

    with pytest.raises(ConnectionError):
        await OpenAccount(customers, MemoryAccounts(refused=IDS)).open(IDS[0])
    assert customers.missing == [IDS[0]]


async def test_trouble_with_some_accounts_keeps_no_others_waiting() -> None:
    refused = {IDS[0], IDS[BATCH], IDS[-1]}
    customers = MemoryCustomers(list(IDS))

    assert await OpenAccount(customers, MemoryAccounts(refused)).open_missing(older_than_s=0) == (len(IDS) - 3, 3)
    assert set(customers.missing) == refused


async def test_housekeeping_outlives_a_failure() -> None:
    class Broken(CountedFailures):
        async def forget_old(self) -> None:
            await super().forget_old()
            if self.forgotten < 3:
                raise ConnectionError

    failures = Broken()
    housekeeping = Housekeeping(OpenAccount(MemoryCustomers([]), MemoryAccounts()), failures, every_s=0.001, late_after_s=0)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            task = asyncio.create_task(housekeeping.run())
            while failures.forgotten < 4:  # noqa: ASYNC110  nobody tells us when
                await asyncio.sleep(0.001)
    task.cancel()

    assert failures.forgotten >= 4


async def test_housekeeping_ends_though_what_it_awaited_swallowed_the_cancellation() -> None:
    class Swallowing(CountedFailures):
        async def forget_old(self) -> None:
            await super().forget_old()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)

    failures = Swallowing()
    task = asyncio.create_task(
        Housekeeping(OpenAccount(MemoryCustomers([]), MemoryAccounts()), failures, every_s=0.001, late_after_s=0).run()
    )
    while not failures.forgotten:  # noqa: ASYNC110  nobody tells us when
        await asyncio.sleep(0.001)

    task.cancel()
    await asyncio.wait([task], timeout=0.5)

    ended = task.done()
    task.cancel()
    assert ended


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def never(prompt: str) -> str:
    raise AssertionError(f"asked for {prompt}")


def test_the_environment_comes_first() -> None:
    credentials = AdminCredentials({"ADMIN_LOGIN": "ada", "ADMIN_PASSWORD": "secret"}, Terminal(), never, never)

    assert (credentials.login(), credentials.password()) == ("ada", "secret")


def test_a_terminal_is_asked_for_what_is_missing() -> None:
    credentials = AdminCredentials({"ADMIN_LOGIN": "ada"}, Terminal(), never, lambda prompt: f"answer to {prompt}")

    assert (credentials.login(), credentials.password()) == ("ada", "answer to password: ")


def test_a_pipe_holds_a_line_each_and_spaces_belong_to_the_password() -> None:
    credentials = AdminCredentials({}, io.StringIO("ada\n two words \n"), never, never)

    assert (credentials.login(), credentials.password()) == ("ada", " two words ")


@pytest.mark.parametrize("password", ["", "x" * 257])
def test_a_password_that_nobody_could_log_in_with_is_refused(password: str) -> None:
    with pytest.raises(PasswordUnusable):
        AdminCredentials({}, io.StringIO(f"{password}\n"), never, never).password()
