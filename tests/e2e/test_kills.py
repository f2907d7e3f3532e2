"""kill -9 of any process at any moment of the loop: afterwards the books balance, and every claim was completed exactly once.

A stream of customers goes through the loop. When they are spread over all its phases a process is killed. Their apps repeat what got no
answer; nobody else helps. Then the database is asked what has become of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import pytest_asyncio

from deploy.local.ports import any_free_port
from tests.e2e.books import CREDITED_UNPUBLISHED, JOBS, WITHOUT_ACCOUNT, check_books, rows
from tests.e2e.secrets_in_logs import found_in_logs, secrets_of
from tests.e2e.shopper import Phase, Shopper, teach_rewards
from tests.e2e.stack_process import POSTGRES, SUPERVISOR, StackProcess, is_gone, until

SHOPPERS = 12
LATE_SHOPPERS = 4
EVERY_S = 0.12
PROGRAMS = ("balance", "customers", "accrual", "gateway", "accrual-sim", POSTGRES)
# Between the credit and its publication, when more than half of a stream's claims are through: the next process dies of it no more.
FAULT = ("--set", "accrual.FAULT_AT=settle-credited:20")
# Cheap passwords, and patience that fits a test: what is tested is that all is repeated, not how long one waits before it.
SETTINGS = (
    "customers.ARGON2_MEMORY_KIB=8",
    "customers.ARGON2_ITERATIONS=1",
    "customers.ARGON2_LANES=1",
    "accrual.PROVIDER_TOTAL_S=1",
    "accrual.LEASE_S=2",
    "accrual.JOBS_DEAD_AFTER_S=1",
    "accrual.POLL_BACK_OFF_FIRST_S=0.2",
    "accrual.POLL_BACK_OFF_MAX_S=1",
    "accrual.BREAKER_COOL_DOWN_S=0.5",
    "accrual.BREAKER_COOL_DOWN_MAX_S=1",
    "accrual-sim.ACCRUAL_SIM_CALCULATION_DELAY_S=0.4",
    "accrual-sim.ACCRUAL_SIM_RATE_LIMIT=600000",
)
ARGUMENTS = tuple(word for setting in SETTINGS for word in ("--set", setting))


class Market:
    """The stack that is to be killed piece by piece, and all customers that it has seen."""

    def __init__(self, stack: StackProcess, session: aiohttp.ClientSession) -> None:
        self.stack = stack
        self.shoppers: list[Shopper] = []
        self._session = session

    async def stream(self, interrupt: Callable[[], Coroutine[Any, Any, None]]) -> list[Shopper]:
        """Sends customers through the loop; when they are spread over it, `interrupt` is awaited, and then some more come."""
        published = self.stack.published
        await teach_rewards(self._session, published["accrual_system"])
        shoppers = [Shopper(self._session, published["edge"], published["accrual_system"]) for _ in range(SHOPPERS + LATE_SHOPPERS)]
        early, late = shoppers[:SHOPPERS], shoppers[SHOPPERS:]
        async with asyncio.TaskGroup() as group:
            for place, shopper in enumerate(early):
                group.create_task(shopper.walk(after_s=place * EVERY_S))
            await until(lambda: is_spread(early), within_s=30, otherwise=lambda: f"{[shopper.phase for shopper in early]}")
            interruption = group.create_task(interrupt())
            for shopper in late:
                group.create_task(shopper.walk())
            await interruption
        self.shoppers += shoppers
        return shoppers


def is_spread(shoppers: list[Shopper]) -> bool:
    """Whether the first is through, while others wait for their points."""
    return {Phase.WAITING, Phase.DONE} <= {shopper.phase for shopper in shoppers}


@pytest_asyncio.fixture(scope="module")
async def market(folder: Path) -> AsyncIterator[Market]:
    """At first with the fault; a new start, which the first tests bring about, is without it."""
    # Asked for, since shoppers know the accrual system from before a new start; other inner ports may move then.
    port = f"accrual-sim={any_free_port()}"
    stack = StackProcess(folder, "--port", port, *ARGUMENTS, *FAULT)
    try:
        await stack.start()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            yield Market(stack, session)
    finally:
        await stack.clean_up()


async def test_a_death_between_credit_and_publication_credits_once_and_publishes_in_the_end(market: Market) -> None:
    stack = market.stack
    between: list[object] = []

    async def watch() -> None:
        await until(lambda: "accrual ended with status 137" in stack.output, within_s=30, otherwise="accrual has not died")
        between.extend(rows(stack.database_uri, CREDITED_UNPUBLISHED))

    shoppers = await market.stream(watch)
    assert between, "it died elsewhere"
    check_books(stack.database_uri, shoppers)


async def test_the_supervisor_killed_and_started_again_takes_over_what_it_left_behind(market: Market) -> None:
    stack = market.stack
    family = stack.family()

    async def start_again() -> None:
        stack.kill(SUPERVISOR)
        await stack.end()
        stack.arguments = stack.arguments[: -len(FAULT)]
        await stack.start()

    shoppers = await market.stream(start_again)
    assert any(shopper.outages for shopper in shoppers), "nobody has noticed anything"
    check_books(stack.database_uri, shoppers)
    assert [process for process in family if not is_gone(process)] == []
    assert "gateway of an earlier run was still there and has been ended" in stack.output


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_program_killed_in_the_middle_of_the_loop_comes_back_and_the_books_balance(market: Market, program: str) -> None:
    stack = market.stack
    before = stack.pid(program)

    async def kill() -> None:
        stack.kill(program)

    shoppers = await market.stream(kill)
    check_books(stack.database_uri, shoppers)
    after = stack.pid(program)
    assert after is not None
    assert after != before
    assert psutil.pid_exists(after)


async def test_in_the_end_no_job_is_left_everybody_has_an_account_and_no_log_has_told_a_secret(market: Market) -> None:
    """Customers' jobs of a dead worker are taken up after ten seconds; parked ones would stay for ever."""
    uri = market.stack.database_uri

    def is_settled() -> bool:
        return not rows(uri, JOBS) and not rows(uri, WITHOUT_ACCOUNT)

    await until(is_settled, within_s=40, otherwise=lambda: f"{rows(uri, JOBS)} {rows(uri, WITHOUT_ACCOUNT)}")
    check_books(uri, market.shoppers)
    secrets = {secret for shopper in market.shoppers for secret in (shopper.password, shopper.token)}
    assert found_in_logs(market.stack, secrets | secrets_of(market.stack)) == []
    assert await market.stack.stop() == 0
