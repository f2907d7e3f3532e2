"""What keeps the ledger right under load is taken out, one thing at a time, on a real PostgreSQL: every time something breaks.

The same for the rules of `decide` is in tests/balance/unit/test_ledger_mutations.py.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors

from services.balance.adapters.postgres import ledger as posting
from services.balance.adapters.postgres.ledger import PostgresLedger
from services.balance.adapters.postgres.tables import SCHEMA
from services.balance.domain.commands import Credit, Withdraw
from services.balance.domain.decide import Group
from services.balance.domain.model import Lot
from services.balance.domain.names import AccountName
from services.balance.settings import BalanceSettings
from shared.postgres.conninfo import service_conninfo
from shared.postgres.pool import make_pool
from tests.balance.stored import read_stored
from tests.balance.world import Owner, outcome, soon, until


@pytest.fixture
async def ledger(balance_settings: BalanceSettings) -> AsyncIterator[PostgresLedger]:
    """The bare ledger, which tells what the database says."""
    conninfo = service_conninfo(balance_settings.database_uri, schema=SCHEMA, role=balance_settings.database_role)
    async with make_pool(conninfo, size_min=8, size_max=8) as pool:
        yield PostgresLedger(pool)


async def funded(ledger: PostgresLedger, count: int) -> list[AccountName]:
    names = [AccountName("main", str(uuid4())) for _ in range(count)]
    await ledger.post([Group([credit(name, 1000) for name in names])])
    return names


def credit(name: AccountName, amount: int) -> Credit:
    return Credit(account=name, actor="services/accrual", request_id=uuid4(), fingerprint=b"", amount=amount, reference="18")


def withdrawal(name: AccountName, request_id: UUID | None = None) -> Withdraw:
    return Withdraw(
        account=name, actor="customers/x", request_id=request_id or uuid4(), fingerprint=b"", amount=1, reference=str(uuid4().int)
    )  # fmt: skip


async def broken(ledger: PostgresLedger, batches: list[list[Withdraw]]) -> list[type[BaseException]]:
    """Posts batches at once; returns what was raised."""
    answers = await asyncio.gather(*(ledger.post([Group(batch)]) for batch in batches), return_exceptions=True)
    return [type(answer) for answer in answers if isinstance(answer, BaseException)]


def crossing(names: list[AccountName]) -> list[list[Withdraw]]:
    return [[withdrawal(name) for name in random.sample(names, len(names))] for _ in range(24)]


async def test_batches_over_the_same_accounts_in_any_order_wait_for_each_other(
    ledger: PostgresLedger, database_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "POSTING_SETTINGS", posting.POSTING_SETTINGS.replace("'200ms'", "'10s'"))
    names = await funded(ledger, 12)

    assert await broken(ledger, crossing(names)) == []

    assert {(await read_stored(database_uri, name)).account.posted for name in names} == {1000 - 24}


async def test_without_the_order_of_locks_batches_deadlock(ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "POSTING_SETTINGS", posting.POSTING_SETTINGS.replace("'200ms'", "'10s'"))
    any_order = "order by md5(account_key::text || pg_backend_pid())"
    monkeypatch.setattr(posting, "LOCK_ACCOUNTS", posting.LOCK_ACCOUNTS.replace("order by account_key", any_order))
    names = await funded(ledger, 12)

    # That two meet half-way is likely, not certain.
    assert errors.DeadlockDetected in [error for _ in range(5) for error in await broken(ledger, crossing(names))]


async def test_without_the_lock_histories_collide(ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "LOCK_ACCOUNTS", posting.LOCK_ACCOUNTS.replace("for no key update", ""))
    names = await funded(ledger, 1)

    assert errors.UniqueViolation in await broken(ledger, [[withdrawal(names[0])] for _ in range(24)])


async def test_without_the_lookup_of_requests_a_repeat_fails_where_the_first_succeeded(
    owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    await owner.credit(10)
    request = owner.to_withdraw(10)
    assert await outcome(owner.send(request)) == "applied"
    monkeypatch.setattr(posting, "FIND_RECORDED", posting.FIND_RECORDED + " where false")

    assert await outcome(owner.send(request)) not in {"applied", "replayed"}


async def test_without_the_lookup_of_orders_paying_twice_fails_without_a_reason(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    await owner.credit(10)
    paid = owner.to_withdraw(1)
    await owner.send(paid)
    again = owner.to_withdraw(1, order_number=paid.order_number)
    monkeypatch.setattr(posting, "FIND_PAYMENTS", posting.FIND_PAYMENTS + " where false")

    assert await outcome(owner.send(again)) not in {"applied", "ORDER_ALREADY_PAID"}


async def test_without_the_sum_of_reversals_they_exceed_the_original(owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    await owner.credit(10)
    withdrawn = await owner.withdraw(10)
    monkeypatch.setattr(posting, "FIND_ORIGINALS", posting.FIND_ORIGINALS.replace("sum(reversal.requested_amount)", "0 * count(*)"))

    outcomes = Counter([await outcome(owner.send(owner.to_reverse(withdrawn.name, 6))) for _ in range(2)])

    assert outcomes != {"applied": 1, "REVERSAL_EXCEEDS_ORIGINAL": 1}


@pytest.mark.parametrize("lot", ["pending", "expired"])
async def test_without_the_condition_on_lots_points_are_spent_that_must_not_be(
    owner: Owner, monkeypatch: pytest.MonkeyPatch, lot: str
) -> None:
    end = soon(0.3)
    await owner.credit(10, **({"available_time": soon(1000)} if lot == "pending" else {"expire_time": end}))
    # Before the lot expires: afterwards a sweeper of any server of the session may be faster.
    monkeypatch.setattr(Lot, "is_spendable", lambda lot, _now: lot.free > 0)
    monkeypatch.setattr(Lot, "is_expired", lambda _lot, _now: False)
    await until(end)

    assert await outcome(owner.send(owner.to_withdraw(10))) == "applied"

    monkeypatch.undo()
    with pytest.raises(AssertionError):
        await owner.stored()


async def test_the_rules_over_the_tables_notice_what_was_changed_behind_the_ledgers_back(
    new_owner: Callable[[], Owner], database_uri: str
) -> None:
    for edit in (
        "update balance.account set posted = posted + 1 where account_key = %s",
        "update balance.account set lifetime_spent = lifetime_spent + 1 where account_key = %s",
        "update balance.lot set remaining = remaining - 1 where account_key = %s",
        "update balance.operation set amount = amount + 1 where version = 1 and account_key = %s",
        "delete from balance.operation where version = 2 and account_key = %s",
        "update balance.hold set captured = captured - 1 where account_key = %s",
    ):
        owner = new_owner()
        await owner.credit(10)
        await owner.withdraw(1)
        await owner.send(owner.to_capture(await owner.reserve(5), 2, keep_remainder=True))
        await owner.stored()
        async with await psycopg.AsyncConnection.connect(database_uri) as connection:
            await connection.execute(edit.encode(), [owner.name.key])
        with pytest.raises(AssertionError):
            await owner.stored()
