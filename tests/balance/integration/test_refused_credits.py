"""Accounts are opened by the credits that need them, and by no credit that is refused, whatever else is posted in the same batch."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.balance.adapters.postgres.accounts import PostgresAccounts
from services.balance.adapters.postgres.ledger import PostgresLedger
from services.balance.adapters.postgres.tables import SCHEMA
from services.balance.domain.commands import Command, Credit, Withdraw
from services.balance.domain.decide import Decision, Group, Recorded, Unrecorded
from services.balance.domain.names import AccountName
from services.balance.settings import BalanceSettings
from shared.luhn import with_check_digit
from shared.postgres.conninfo import service_conninfo
from shared.postgres.pool import Pool, make_pool
from tests.balance.world import soon


@pytest.fixture
async def pool(balance_settings: BalanceSettings) -> AsyncIterator[Pool]:
    conninfo = service_conninfo(balance_settings.database_uri, schema=SCHEMA, role=balance_settings.database_role)
    async with make_pool(conninfo, size_min=1, size_max=1) as pool:
        yield pool


@pytest.fixture
def ledger(pool: Pool) -> PostgresLedger:
    return PostgresLedger(pool)


def new_account() -> AccountName:
    return AccountName("main", str(uuid4()))


def credit(name: AccountName, **fields: Any) -> Credit:
    return Credit(account=name, actor="services/accrual", request_id=uuid4(), fingerprint=b"", amount=10, reference="18", **fields)


def too_late(name: AccountName) -> Credit:
    return credit(name, expires_at=soon(-60))


def withdrawal(name: AccountName, amount: int) -> Withdraw:
    reference = with_check_digit(str(uuid4().int))
    return Withdraw(account=name, actor="customers/x", request_id=uuid4(), fingerprint=b"", amount=amount, reference=reference)


async def balances(pool: Pool, *names: AccountName) -> list[int | None]:
    """Returns what is on each of the accounts, None for one that was not opened."""
    found = await PostgresAccounts(pool).load_many(names)
    return [None if loaded is None else loaded[0].account.posted for loaded in found]


def told(decision: Decision) -> list[list[str]]:
    return [
        [str(one.operation.refusal or "applied") if isinstance(one, Recorded) else one.name for one in group] for group in decision.outcomes
    ]


async def test_a_credit_that_comes_too_late_opens_no_account(ledger: PostgresLedger, pool: Pool) -> None:
    fresh, other, known = (new_account() for _ in range(3))
    await ledger.post([Group([credit(known)])])
    again = credit(other)

    decision = await ledger.post([Group([again, too_late(fresh), withdrawal(fresh, 1), again]), Group([too_late(known)])])

    assert told(decision) == [["applied", "LOT_TIMES", "NO_ACCOUNT", "applied"], ["LOT_TIMES"]]
    assert [one.replayed for one in decision.outcomes[0] if isinstance(one, Recorded)] == [False, True]
    assert await balances(pool, fresh, other, known) == [None, 10, 10]


async def test_an_atomic_group_that_fails_opens_no_account_beside_others_that_do(ledger: PostgresLedger, pool: Pool) -> None:
    fresh, second, other = (new_account() for _ in range(3))
    failing = Group([credit(fresh), too_late(second), withdrawal(other, 5)], atomic=True)

    decision = await ledger.post([Group([credit(other)]), failing, Group([withdrawal(other, 4)])])

    assert told(decision) == [["applied"], ["ABORTED", "LOT_TIMES", "ABORTED"], ["applied"]]
    assert await balances(pool, fresh, second, other) == [None, None, 6]


async def test_a_credit_opens_the_account_that_another_of_the_same_batch_was_refused_for(ledger: PostgresLedger, pool: Pool) -> None:
    fresh = new_account()

    decision = await ledger.post([Group([too_late(fresh), credit(fresh)])])

    assert told(decision) == [["LOT_TIMES", "applied"]]
    assert await balances(pool, fresh) == [10]


async def test_where_all_is_refused_nothing_is_opened(ledger: PostgresLedger, pool: Pool) -> None:
    fresh = new_account()
    commands: list[Command] = [too_late(fresh), credit(fresh, available_at=soon(60), expires_at=soon(60) - timedelta(seconds=1))]

    assert (await ledger.post([Group(commands)])).outcomes == [[Unrecorded.LOT_TIMES, Unrecorded.LOT_TIMES]]
    assert await balances(pool, fresh) == [None]
