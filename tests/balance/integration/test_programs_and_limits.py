"""Programmes kept apart in one ledger, and the least balance of an account."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from galen.balance.v1 import account_pb2
from galen.balance.v1 import balance_service_pb2 as messages

from shared.luhn import with_check_digit
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities

if TYPE_CHECKING:  # the class exists for type checkers only
    from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceAsyncStub


class Office:
    """An administrator, and the account of one customer in a programme."""

    def __init__(self, stub: BalanceServiceAsyncStub, identities: Identities, program: str = "main") -> None:
        self.stub = stub
        self.customer = str(uuid4())
        self.account = f"programs/{program}/accounts/{self.customer}"
        self._identities = identities
        self.admin = identities.customer("root", roles=("admin",))

    async def credit(self, amount: int) -> messages.CreditPointsResponse:
        request = messages.CreditPointsRequest(account=self.account, amount=amount, reference="18", request_id=str(uuid4()))
        return await self.stub.CreditPoints(request, metadata=self._identities.service("accrual"), timeout=5)

    async def withdraw(self, amount: int) -> messages.WithdrawPointsResponse:
        number = with_check_digit(str(uuid4().int))
        request = messages.WithdrawPointsRequest(account=self.account, amount=amount, order_number=number, request_id=str(uuid4()))
        return await self.stub.WithdrawPoints(request, metadata=self._identities.customer(self.customer), timeout=5)

    async def limit(self, min_balance: int, *, etag: str = "", request_id: str | None = None) -> account_pb2.Account:
        request = messages.UpdateAccountRequest(
            name=self.account, min_balance=min_balance, etag=etag, request_id=request_id or str(uuid4())
        )
        return (await self.stub.UpdateAccount(request, metadata=self.admin, timeout=5)).account

    async def create(self, program: str, title: str) -> messages.Program:
        request = messages.CreateProgramRequest(program_id=program, title=title, request_id=str(uuid4()))
        return (await self.stub.CreateProgram(request, metadata=self.admin, timeout=5)).program


@pytest.fixture
def office(balance: BalanceServiceAsyncStub, identities: Identities) -> Office:
    return Office(balance, identities)


async def test_points_of_one_programme_are_not_points_of_another(
    office: Office, balance: BalanceServiceAsyncStub, identities: Identities
) -> None:
    program = f"p{uuid4().hex}"
    await office.create(program, "Winter")
    other = Office(balance, identities, program)
    other.customer, other.account = office.customer, f"programs/{program}/accounts/{office.customer}"
    await office.credit(10)
    await other.credit(3)

    assert (await refusal_of(other.withdraw(4))).metadata["available"] == "3"
    assert (await office.withdraw(10)).operation.balance_after == 0


async def test_a_programme_that_was_not_created_is_not_found(balance: BalanceServiceAsyncStub, identities: Identities) -> None:
    assert (await refusal_of(Office(balance, identities, "nowhere").credit(1))).reason == "PROGRAM_NOT_FOUND"


async def test_a_programme_is_created_once_and_keeps_its_title(office: Office) -> None:
    program = f"p{uuid4().hex}"
    first = await office.create(program, "Winter")

    assert await office.create(program, "Winter") == first
    assert (await refusal_of(office.create(program, "Summer"))).reason == "PROGRAM_EXISTS"


async def test_no_account_and_no_programme_can_be_called_like_the_sign_for_all_of_them(office: Office, identities: Identities) -> None:
    office.account, office.customer = "programs/main/accounts/-", "-"
    customers, orders = identities.service("customers"), identities.service("orders")
    create = messages.CreateAccountRequest(parent="programs/main", account_id="-", request_id=str(uuid4()))
    reserve = messages.ReservePointsRequest(account=office.account, amount=1, reference="18", request_id=str(uuid4()))
    batch = messages.BatchApplyRequest(
        parent="programs/main",
        commands=[messages.BatchCommand(reserve=reserve)],
        mode=messages.BATCH_MODE_INDEPENDENT,
        request_id=str(uuid4()),
    )
    opening = messages.OpeningBalance(account=office.account, amount=1, reference="old", request_id=str(uuid4()))
    openings = messages.ImportBalancesRequest(parent="programs/main", openings=[opening], request_id=str(uuid4()))

    for call in (
        office.stub.CreateAccount(create, metadata=customers, timeout=5),
        office.credit(1),
        office.withdraw(1),
        office.limit(1),
        office.stub.ReservePoints(reserve, metadata=orders, timeout=5),
        office.stub.BatchApply(batch, metadata=orders, timeout=5),
        office.stub.ImportBalances(openings, metadata=office.admin, timeout=5),
        office.create("-", "All"),
    ):
        assert (await refusal_of(call)).reason == "INVALID_REQUEST"


async def test_programmes_are_listed_by_id_page_by_page(office: Office) -> None:
    for _ in range(3):
        await office.create(f"p{uuid4().hex}", "Winter")
    names, token = [], ""
    while True:
        request = messages.ListProgramsRequest(page_size=2, page_token=token)
        page = await office.stub.ListPrograms(request, metadata=office.admin, timeout=5)
        names += [program.name for program in page.programs]
        token = page.next_page_token
        if not token:
            break

    assert names == sorted(set(names))
    assert "programs/main" in names


async def test_a_least_balance_above_zero_must_remain_and_one_below_zero_is_an_overdraft(office: Office) -> None:
    await office.credit(10)
    await office.limit(4)
    assert (await refusal_of(office.withdraw(7))).reason == "INSUFFICIENT_POINTS"
    await office.withdraw(6)

    assert (await office.limit(-5)).min_balance == -5
    assert (await office.withdraw(9)).operation.debt_change == 5
    assert (await refusal_of(office.withdraw(1))).reason == "INSUFFICIENT_POINTS"
    await office.credit(7)
    assert (await office.withdraw(2)).operation.balance_after == 0


async def test_a_change_of_the_least_balance_is_in_the_history_and_guarded_by_the_etag(office: Office) -> None:
    await office.credit(10)
    request_id = str(uuid4())
    account = await office.limit(4, etag='"1"', request_id=request_id)

    assert (account.version, account.min_balance) == (2, 4)
    assert (await office.limit(4, etag='"1"', request_id=request_id)).version == 2
    for stale in ('"1"', "nonsense"):
        assert (await refusal_of(office.limit(5, etag=stale))).reason == "VERSION_MISMATCH"
    assert (await refusal_of(office.limit(5, request_id=request_id))).reason == "REQUEST_ID_REUSED"
