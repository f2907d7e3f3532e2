"""Points go in and out over gRPC, on a real server and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import grpc
import pytest
from galen.balance.v1 import account_pb2, operation_pb2
from galen.balance.v1 import balance_service_pb2 as messages

from shared.luhn import with_check_digit
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities

if TYPE_CHECKING:  # the class exists for type checkers only
    from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceAsyncStub


class Customer:
    """A customer of the ledger, and what they and the accrual service ask of it."""

    def __init__(self, stub: BalanceServiceAsyncStub, identities: Identities) -> None:
        self.id = str(uuid4())
        self.account = f"programs/main/accounts/{self.id}"
        self._stub = stub
        self.metadata = identities.customer(self.id)
        self._accrual = identities.service("accrual")

    def credit(
        self, amount: int, *, request_id: str | None = None, reference: str = "79927398713"
    ) -> Awaitable[messages.CreditPointsResponse]:
        request = messages.CreditPointsRequest(
            account=self.account, amount=amount, reference=reference, request_id=request_id or str(uuid4())
        )
        return self._stub.CreditPoints(request, metadata=self._accrual, timeout=5)

    def withdraw(
        self, amount: int, *, order_number: str | None = None, request_id: str | None = None
    ) -> Awaitable[messages.WithdrawPointsResponse]:
        request = messages.WithdrawPointsRequest(
            account=self.account,
            amount=amount,
            order_number=order_number or with_check_digit(str(uuid4().int)),
            request_id=request_id or str(uuid4()),
        )
        return self._stub.WithdrawPoints(request, metadata=self.metadata, timeout=5)

    async def read(self) -> account_pb2.Account:
        request = messages.GetAccountRequest(name=self.account)
        return (await self._stub.GetAccount(request, metadata=self.metadata, timeout=5)).account

    async def operations(self, **fields: Any) -> messages.ListOperationsResponse:
        request = messages.ListOperationsRequest(parent=self.account, **fields)
        return await self._stub.ListOperations(request, metadata=self.metadata, timeout=5)


@pytest.fixture
def customer(balance: BalanceServiceAsyncStub, identities: Identities) -> Customer:
    return Customer(balance, identities)


async def test_a_credit_opens_the_account_and_a_withdrawal_lowers_it(customer: Customer) -> None:
    credited = await customer.credit(50050)
    withdrawn = await customer.withdraw(42_00)

    assert credited.operation.balance_after == 50050
    assert withdrawn.operation.balance_after == 45850
    account = await customer.read()
    assert (account.available, account.posted, account.lifetime_earned, account.lifetime_spent) == (45850, 45850, 50050, 4200)
    assert account.version == 2


async def test_every_operation_moves_points_between_two_books(customer: Customer) -> None:
    credited = (await customer.credit(10)).operation
    withdrawn = (await customer.withdraw(4)).operation

    assert (credited.debit_book, credited.credit_book) == (operation_pb2.BOOK_GRANTED, operation_pb2.BOOK_CUSTOMER)
    assert (withdrawn.debit_book, withdrawn.credit_book) == (operation_pb2.BOOK_CUSTOMER, operation_pb2.BOOK_REDEEMED)


async def test_a_repeated_withdrawal_has_the_same_answer_and_no_second_effect(customer: Customer) -> None:
    await customer.credit(100)
    order, request_id = with_check_digit("12345"), str(uuid4())

    first = await customer.withdraw(100, order_number=order, request_id=request_id)
    again = await customer.withdraw(100, order_number=order, request_id=request_id)

    assert again.operation == first.operation
    assert (first.replayed, again.replayed) == (False, True)
    assert (await customer.read()).available == 0


async def test_a_request_id_with_another_content_is_refused(customer: Customer) -> None:
    request_id = str(uuid4())
    await customer.credit(100, request_id=request_id)

    refusal = await refusal_of(customer.credit(101, request_id=request_id))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert (await customer.read()).available == 100


async def test_a_refused_withdrawal_is_refused_for_ever_under_its_id_even_when_points_have_come(customer: Customer) -> None:
    await customer.credit(10)
    order, request_id = with_check_digit("777"), str(uuid4())

    refused = await refusal_of(customer.withdraw(11, order_number=order, request_id=request_id))
    await customer.credit(100)
    again = await refusal_of(customer.withdraw(11, order_number=order, request_id=request_id))

    assert (refused.domain, refused.reason, refused.metadata) == (
        "balance.galen",
        "INSUFFICIENT_POINTS",
        {"available": "10", "required": "11"},
    )
    assert (again.reason, again.metadata) == (refused.reason, refused.metadata)
    assert (await customer.withdraw(11, order_number=order)).operation.balance_after == 99


async def test_an_order_is_paid_once_by_an_account_and_by_another_account_too(
    customer: Customer, balance: BalanceServiceAsyncStub, identities: Identities
) -> None:
    other, order = Customer(balance, identities), with_check_digit("4242")
    await customer.credit(100)
    await other.credit(100)
    paid = await customer.withdraw(1, order_number=order)

    refusal = await refusal_of(customer.withdraw(1, order_number=order))

    assert (refusal.reason, refusal.metadata) == ("ORDER_ALREADY_PAID", {"operation": paid.operation.name})
    assert (await other.withdraw(1, order_number=order)).operation.balance_after == 99


async def test_nobody_reads_or_spends_from_anothers_account(
    customer: Customer, balance: BalanceServiceAsyncStub, identities: Identities
) -> None:
    await customer.credit(100)
    thief = Customer(balance, identities)
    thief.account = customer.account

    assert (await refusal_of(thief.withdraw(1))).reason == "ACCESS_DENIED"
    with pytest.raises(grpc.aio.AioRpcError) as denied:
        await thief.read()
    assert denied.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_customers_can_not_credit_themselves(customer: Customer) -> None:
    customer._accrual = customer.metadata

    assert (await refusal_of(customer.credit(1))).reason == "ACCESS_DENIED"


async def test_a_withdrawal_from_an_account_that_was_never_opened_is_refused(customer: Customer) -> None:
    assert (await refusal_of(customer.withdraw(1))).reason == "ACCOUNT_NOT_FOUND"


async def test_statements_are_paged_newest_first_and_hide_refusals_unless_asked(customer: Customer) -> None:
    for amount in (1, 2, 3):
        await customer.credit(amount)
    await refusal_of(customer.withdraw(1000))

    first = await customer.operations(page_size=2)
    second = await customer.operations(page_size=2, page_token=first.next_page_token)

    assert [operation.amount for operation in (*first.operations, *second.operations)] == [3, 2, 1]
    assert second.next_page_token == ""
    everything = await customer.operations(include_refused=True)
    assert everything.operations[0].requested_amount == 1000
    assert everything.operations[0].amount == 0


@pytest.mark.parametrize("change", [{"include_refused": True}, {"kinds": [operation_pb2.OPERATION_KIND_CREDIT]}])
async def test_a_page_token_is_bound_to_its_filter(customer: Customer, change: dict[str, Any]) -> None:
    await customer.credit(1)
    await customer.credit(2)
    token = (await customer.operations(page_size=1)).next_page_token

    assert (await refusal_of(customer.operations(page_token=token, **change))).reason == "INVALID_PAGE_TOKEN"
    assert (await refusal_of(customer.operations(page_token=token[:-2] + "AA"))).reason == "INVALID_PAGE_TOKEN"


async def test_an_operation_is_found_by_name_and_by_the_request_that_made_it_but_not_by_anothers_request(
    customer: Customer, balance: BalanceServiceAsyncStub
) -> None:
    request_id = str(uuid4())
    credited = (await customer.credit(5, request_id=request_id)).operation
    withdrawn = (await customer.withdraw(5)).operation

    async def find(**lookup: Any) -> operation_pb2.Operation:
        return (await balance.GetOperation(messages.GetOperationRequest(**lookup), metadata=customer.metadata, timeout=5)).operation

    assert await find(name=credited.name) == credited
    assert await find(request={"parent": customer.account, "request_id": withdrawn.request_id}) == withdrawn
    refusal = await refusal_of(find(request={"parent": customer.account, "request_id": request_id}))
    assert refusal.reason == "OPERATION_NOT_FOUND"
