"""The ORM baseline keeps the ledger's rules: a baseline that did less would flatter nobody but itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from services.balance.container import BalanceContainer, service_parts
from services.balance.settings import BalanceSettings
from shared.luhn import with_check_digit
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities
from shared.testing.servers import served
from tests.benchmarks.server import orm

if TYPE_CHECKING:
    from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceAsyncStub


@pytest.fixture
async def baseline(balance_settings: BalanceSettings) -> AsyncIterator[BalanceServiceAsyncStub]:
    async with served(orm(service_parts(BalanceContainer(settings=balance_settings)), balance_settings)) as server:
        yield BalanceServiceStub(server.channel)


@pytest.fixture
async def account(balance: BalanceServiceAsyncStub, identities: Identities) -> str:
    """An account with two lots of 60 points."""
    name = f"programs/main/accounts/{uuid4()}"
    for _ in range(2):
        request = messages.CreditPointsRequest(account=name, amount=60, reference="18", request_id=str(uuid4()))
        await balance.CreditPoints(request, metadata=identities.service("accrual"), timeout=10)
    return name


def withdrawal(account: str, amount: int, number: str | None = None) -> messages.WithdrawPointsRequest:
    number = number or with_check_digit(str(uuid4().int))
    return messages.WithdrawPointsRequest(account=account, amount=amount, order_number=number, request_id=str(uuid4()))


async def test_a_withdrawal_of_the_baseline_is_one_of_the_ledger(
    baseline: BalanceServiceAsyncStub, balance: BalanceServiceAsyncStub, account: str, identities: Identities
) -> None:
    orders, admin = identities.service("orders"), identities.customer("a", roles=("admin",))
    request = withdrawal(account, 70)
    made = await baseline.WithdrawPoints(request, metadata=orders, timeout=10)
    again = await balance.WithdrawPoints(request, metadata=orders, timeout=10)

    assert (made.operation.balance_after, made.operation.version, made.replayed) == (50, 3, False)
    assert again.replayed
    assert again.operation == made.operation
    audit = balance.AuditAccounts(messages.AuditAccountsRequest(parent=account), metadata=admin, timeout=10)
    assert [report.finding async for report in audit if report.HasField("finding")] == []


async def test_the_baseline_refuses_what_the_ledger_refuses(
    baseline: BalanceServiceAsyncStub, account: str, identities: Identities
) -> None:
    orders = identities.service("orders")
    paid = withdrawal(account, 100)
    await baseline.WithdrawPoints(paid, metadata=orders, timeout=10)
    replayed = await baseline.WithdrawPoints(paid, metadata=orders, timeout=10)
    other_content = withdrawal(account, 1)
    other_content.request_id = paid.request_id
    refused = [
        (await refusal_of(baseline.WithdrawPoints(request, metadata=orders, timeout=10))).reason
        for request in (other_content, withdrawal(account, 1, paid.order_number), withdrawal(account, 21), withdrawal(f"{account}x", 1))
    ]

    assert replayed.replayed
    assert refused == ["REQUEST_ID_REUSED", "ORDER_ALREADY_PAID", "INSUFFICIENT_POINTS", "ACCOUNT_NOT_FOUND"]
