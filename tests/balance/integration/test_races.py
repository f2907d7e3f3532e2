"""Many at once on one account: each test fails when the lock or constraint that it is about is taken out."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
import psycopg
import pytest
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from services.balance.adapters.postgres import ledger as posting
from services.balance.container import BalanceContainer, service_parts
from services.balance.domain.names import AccountName
from services.balance.settings import BalanceSettings
from shared.luhn import with_check_digit
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities
from shared.testing.servers import served

if TYPE_CHECKING:  # the class exists for type checkers only
    from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceAsyncStub

CALLERS = 40
ROUNDS_MAX = 10


async def outcome(call: Awaitable[messages.WithdrawPointsResponse]) -> str:
    try:
        response = await call
    except grpc.aio.AioRpcError as error:
        return (await refusal_of(raising(error))).reason
    return "replayed" if response.replayed else "applied"


async def raising(error: grpc.aio.AioRpcError) -> None:
    raise error


def withdrawal(account: str, amount: int, *, number: str | None = None, request_id: str | None = None) -> messages.WithdrawPointsRequest:
    number = number or with_check_digit(str(uuid4().int))
    return messages.WithdrawPointsRequest(account=account, amount=amount, order_number=number, request_id=request_id or str(uuid4()))


class Race:
    """Two servers over one database, and an account with points."""

    def __init__(self, stubs: list[BalanceServiceAsyncStub], identities: Identities, uri: str) -> None:
        self.account = f"programs/main/accounts/{uuid4()}"
        self._stubs = stubs
        self._identities = identities
        self._uri = uri

    async def fund(self, amount: int) -> None:
        request = messages.CreditPointsRequest(account=self.account, amount=amount, reference="18", request_id=str(uuid4()))
        await self._stubs[0].CreditPoints(request, metadata=self._identities.service("accrual"), timeout=10)

    async def withdraw_all(self, requests: list[messages.WithdrawPointsRequest]) -> Counter[str]:
        """Sends the requests at once, to both servers in turn; returns how often each outcome came."""
        metadata = self._identities.customer(self.account.rpartition("/")[2])
        calls = [
            self._stubs[place % len(self._stubs)].WithdrawPoints(request, metadata=metadata, timeout=20)
            for place, request in enumerate(requests)
        ]
        return Counter(await asyncio.gather(*map(outcome, calls)))

    async def stored(self) -> tuple[int, int, int, int]:
        """Returns the account's posted and version, and the sum and number of its operations."""
        key = AccountName.parse(self.account).key
        async with await psycopg.AsyncConnection.connect(self._uri) as connection:
            cursor = await connection.execute(
                """select posted, account.version, sum(case kind when 1 then amount else -amount end)::bigint, count(*)
                   from balance.account join balance.operation using (account_key) where account_key = %s group by 1, 2""",
                [key],
            )
            row = await cursor.fetchone()
        assert row is not None
        posted, version, total, count = row
        return posted, version, total, count


@pytest.fixture
async def race(balance_settings: BalanceSettings, identities: Identities, database_uri: str) -> AsyncIterator[Race]:
    first, second = (service_parts(BalanceContainer(settings=balance_settings)) for _ in range(2))
    async with served(first) as one, served(second) as two:
        stubs = [BalanceServiceStub(one.channel), BalanceServiceStub(two.channel)]
        yield Race(stubs, identities, database_uri)


async def test_an_account_withdrawn_by_many_is_never_overdrawn(race: Race) -> None:
    await race.fund(25)

    outcomes = await race.withdraw_all([withdrawal(race.account, 1) for _ in range(CALLERS)])

    assert outcomes == {"applied": 25, "INSUFFICIENT_POINTS": CALLERS - 25}
    assert await race.stored() == (0, CALLERS + 1, 0, CALLERS + 1)


async def test_one_request_sent_many_times_at_once_has_one_effect(race: Race) -> None:
    await race.fund(100)
    request = withdrawal(race.account, 10)

    outcomes = await race.withdraw_all([request] * CALLERS)

    assert outcomes == {"applied": 1, "replayed": CALLERS - 1}
    assert await race.stored() == (90, 2, 90, 2)


async def test_one_order_paid_by_many_requests_is_paid_once(race: Race) -> None:
    await race.fund(100)
    number = with_check_digit("1234567")

    outcomes = await race.withdraw_all([withdrawal(race.account, 10, number=number) for _ in range(CALLERS)])

    assert outcomes == {"applied": 1, "ORDER_ALREADY_PAID": CALLERS - 1}
    assert (await race.stored())[0] == 90


async def test_without_the_row_lock_the_race_is_lost(race: Race, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proves that the tests above can fail: the same race, run without the lock, does not end well."""
    monkeypatch.setattr(posting, "LOCK_ACCOUNTS", posting.LOCK_ACCOUNTS.replace("for no key update", ""))
    fair = {"applied": 25, "INSUFFICIENT_POINTS": CALLERS - 25}
    for _ in range(ROUNDS_MAX):
        race.account = f"programs/main/accounts/{uuid4()}"
        await race.fund(25)
        if await race.withdraw_all([withdrawal(race.account, 1) for _ in range(CALLERS)]) != fair:
            return
    pytest.fail("the race was never lost")


async def test_accounts_opened_by_many_first_credits_at_once_hold_them_all(race: Race) -> None:
    await asyncio.gather(*(race.fund(1) for _ in range(CALLERS)))

    assert await race.stored() == (CALLERS, CALLERS, CALLERS, CALLERS)
