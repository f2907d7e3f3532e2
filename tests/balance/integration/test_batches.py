"""Batches: up to 500 commands in one call, each for itself or all or none; openings; many accounts at once."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
import pytest
from galen.balance.v1 import balance_service_pb2 as messages
from google.rpc import error_details_pb2

from shared.luhn import with_check_digit
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities, Metadata
from tests.balance.world import soon

if TYPE_CHECKING:  # the class exists for type checkers only
    from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceAsyncStub

ATOMIC, INDEPENDENT = messages.BATCH_MODE_ATOMIC, messages.BATCH_MODE_INDEPENDENT


def account_name() -> str:
    return f"programs/main/accounts/{uuid4()}"


def credit(account: str, amount: int) -> messages.BatchCommand:
    request = messages.CreditPointsRequest(account=account, amount=amount, reference="18", request_id=str(uuid4()))
    return messages.BatchCommand(credit=request)


def withdraw(account: str, amount: int, number: str | None = None) -> messages.BatchCommand:
    number = number or with_check_digit(str(uuid4().int))
    return messages.BatchCommand(
        withdraw=messages.WithdrawPointsRequest(account=account, amount=amount, order_number=number, request_id=str(uuid4()))
    )


class Batches:
    def __init__(self, stub: BalanceServiceAsyncStub, identities: Identities) -> None:
        self.stub = stub
        self.orders, self.accrual, self.admin = (
            identities.service("orders"),
            identities.service("accrual"),
            identities.customer("root", roles=("admin",)),
        )

    async def apply(
        self, commands: list[messages.BatchCommand], mode: messages.BatchMode.ValueType = INDEPENDENT, *, by: Metadata | None = None
    ) -> list[str]:
        """Returns `applied`, `replayed` or the reason, for each command."""
        request = messages.BatchApplyRequest(parent="programs/main", commands=commands, mode=mode, request_id=str(uuid4()))
        return [told(result) for result in (await self.stub.BatchApply(request, metadata=by or self.orders, timeout=10)).results]

    async def available(self, account: str) -> int:
        response = await self.stub.GetAccount(messages.GetAccountRequest(name=account), metadata=self.orders, timeout=5)
        return response.account.available


def told(result: messages.BatchResult) -> str:
    if result.WhichOneof("result") == "operation":
        return "replayed" if result.replayed else "applied"
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in result.error.details)
    return str(info.reason)


@pytest.fixture
def batches(balance: BalanceServiceAsyncStub, identities: Identities) -> Batches:
    return Batches(balance, identities)


async def test_independent_commands_each_have_their_outcome_and_a_repeat_has_the_same(batches: Batches) -> None:
    account = account_name()
    await batches.apply([credit(account, 100)], by=batches.accrual)
    commands = [withdraw(account, 60), withdraw(account, 60), withdraw(account, 40), withdraw(account, 1, "12345678902")]

    assert await batches.apply(commands) == ["applied", "INSUFFICIENT_POINTS", "applied", "ORDER_NUMBER_INVALID"]
    assert await batches.apply(commands) == ["replayed", "INSUFFICIENT_POINTS", "replayed", "ORDER_NUMBER_INVALID"]
    assert await batches.available(account) == 0


async def test_of_an_atomic_batch_all_is_done_or_nothing_and_nothing_is_remembered(batches: Batches) -> None:
    account = account_name()
    await batches.apply([credit(account, 100)], by=batches.accrual)
    commands = [withdraw(account, 60), withdraw(account, 60)]

    assert await batches.apply(commands, ATOMIC) == ["BATCH_ABORTED", "INSUFFICIENT_POINTS"]
    assert await batches.available(account) == 100
    await batches.apply([credit(account, 20)], by=batches.accrual)
    assert await batches.apply(commands, ATOMIC) == ["applied", "applied"]
    assert await batches.available(account) == 0


async def test_an_atomic_batch_with_a_command_that_can_not_be_tried_is_not_tried(batches: Batches) -> None:
    account = account_name()
    await batches.apply([credit(account, 100)], by=batches.accrual)

    assert await batches.apply([withdraw(account, 1), withdraw(account, 1, "12345678902")], ATOMIC) == [
        "BATCH_ABORTED",
        "ORDER_NUMBER_INVALID",
    ]
    assert await batches.available(account) == 100


async def test_credits_that_would_expire_before_they_are_there_open_no_account(batches: Batches) -> None:
    known, past, never = account_name(), account_name(), account_name()
    commands = [credit(known, 100), credit(past, 1), credit(never, 1)]
    commands[1].credit.expire_time.FromDatetime(soon(-60))
    commands[2].credit.available_time.FromDatetime(soon(60))
    commands[2].credit.expire_time.FromDatetime(soon(59))

    assert await batches.apply(commands, by=batches.accrual) == ["applied", "LOT_TIMES_INVALID", "LOT_TIMES_INVALID"]
    for account in (past, never):
        assert (await refusal_of(batches.available(account))).reason == "ACCOUNT_NOT_FOUND"
    assert await batches.available(known) == 100


async def test_a_batch_allows_nobody_what_a_call_alone_would_not(batches: Batches, identities: Identities) -> None:
    account = account_name()

    assert await batches.apply([credit(account, 100)]) == ["ACCESS_DENIED"]
    assert await batches.apply([withdraw(account, 100)], by=batches.accrual) == ["ACCESS_DENIED"]
    refusal = await refusal_of(batches.apply([withdraw(account, 1)], by=identities.customer(account.rpartition("/")[2])))
    assert refusal.reason == "ACCESS_DENIED"


@pytest.mark.parametrize("count", [0, 501])
async def test_a_batch_of_none_or_of_501_is_refused(batches: Batches, count: int) -> None:
    account = account_name()
    refusal = await refusal_of(batches.apply([withdraw(account, 1) for _ in range(count)]))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


async def test_a_batch_of_500_is_applied(batches: Batches) -> None:
    accounts = [account_name() for _ in range(50)]

    assert await batches.apply([credit(accounts[place % 50], 1) for place in range(500)], by=batches.accrual) == ["applied"] * 500
    assert {await batches.available(account) for account in accounts} == {10}


async def test_a_command_about_another_programme_is_named(batches: Batches) -> None:
    refusal = await refusal_of(batches.apply([withdraw(account_name(), 1), withdraw("programs/other/accounts/a", 1)]))

    assert refusal.reason == "INVALID_REQUEST"
    assert "commands[1].withdraw.account" in refusal.message


async def test_a_command_with_a_wrong_field_is_refused_with_the_whole_batch(batches: Batches) -> None:
    assert (await refusal_of(batches.apply([withdraw(account_name(), 0)]))).reason == "INVALID_REQUEST"


async def test_openings_are_imported_once_into_empty_accounts(batches: Batches) -> None:
    fresh, used = account_name(), account_name()
    await batches.apply([credit(used, 1)], by=batches.accrual)
    openings = [messages.OpeningBalance(account=name, amount=70, reference="old system", request_id=str(uuid4())) for name in (fresh, used)]
    request = messages.ImportBalancesRequest(parent="programs/main", openings=openings, request_id=str(uuid4()))

    for expected in (["applied", "ACCOUNT_NOT_EMPTY"], ["replayed", "ACCOUNT_NOT_EMPTY"]):
        response = await batches.stub.ImportBalances(request, metadata=batches.admin, timeout=10)
        assert [told(result) for result in response.results] == expected
    assert await batches.available(fresh) == 70


async def test_many_accounts_are_read_in_one_call_and_those_never_opened_left_out(batches: Batches) -> None:
    first, missing, second = account_name(), account_name(), account_name()
    await batches.apply([credit(first, 1), credit(second, 2)], by=batches.accrual)
    request = messages.BatchGetAccountsRequest(parent="programs/main", names=[second, missing, first])

    response = await batches.stub.BatchGetAccounts(request, metadata=batches.orders, timeout=5)

    assert [(account.name, account.available) for account in response.accounts] == [(second, 2), (first, 1)]
