"""What was done is undone, wholly or in part and never more than that, over gRPC on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from galen.balance.v1 import operation_pb2

from shared.testing.errors import refusal_of
from tests.balance.world import (
    ALLOW_NEGATIVE,
    CLAMP,
    REJECT,
    Owner,
    new_id,
    operation_of,
    order_number,
    outcome,
    refused_without_effect,
    soon,
)


def uses(operation: operation_pb2.Operation) -> list[tuple[int, int]]:
    return [(use.lot, use.amount) for use in operation.lots]


async def reverse(owner: Owner, operation: operation_pb2.Operation, amount: int = 0, policy: Any = REJECT) -> operation_pb2.Operation:
    return operation_of(await owner.send(owner.to_reverse(operation.name, amount, shortfall_policy=policy)))


async def test_a_withdrawal_goes_back_to_the_lots_it_came_from_last_taken_first_with_their_expiry(owner: Owner) -> None:
    early, late = await owner.credit(10, expire_time=soon(1000)), await owner.credit(10, expire_time=soon(2000))
    withdrawn = await owner.withdraw(15)
    before = {lot.id: lot.expires_at for lot in (await owner.stored()).lots}

    first = await reverse(owner, withdrawn, 7)
    second = await reverse(owner, withdrawn)

    assert uses(first) == [(late.version, 5), (early.version, 2)]
    assert uses(second) == [(early.version, 8)]
    assert (first.debit_book, first.credit_book) == (operation_pb2.BOOK_REDEEMED, operation_pb2.BOOK_CUSTOMER)
    assert {lot.id: lot.expires_at for lot in (await owner.stored()).lots} == before
    account = await owner.read()
    assert (account.available, account.lifetime_spent, account.next_expiry.points) == (20, 0, 10)


async def test_reversals_together_never_exceed_the_original(owner: Owner) -> None:
    await owner.credit(10)
    withdrawn = await owner.withdraw(10)
    await reverse(owner, withdrawn, 6)

    refusal = await refused_without_effect(owner, owner.to_reverse(withdrawn.name, 5))
    assert (refusal.reason, refusal.metadata) == ("REVERSAL_EXCEEDS_ORIGINAL", {"available": "4", "required": "5"})
    assert (await reverse(owner, withdrawn)).amount == 4
    for amount in (0, 1):
        assert (await refused_without_effect(owner, owner.to_reverse(withdrawn.name, amount))).reason == "REVERSAL_EXCEEDS_ORIGINAL"


async def test_a_capture_is_reversed_like_a_withdrawal(owner: Owner) -> None:
    credited = await owner.credit(10)
    hold = await owner.reserve(8)
    captured = (await owner.send(owner.to_capture(hold, 5))).operation

    assert uses(await reverse(owner, captured)) == [(credited.version, 5)]

    assert ((await owner.read()).lifetime_spent, await owner.available()) == (0, 10)
    await owner.stored()


async def test_a_credit_is_taken_from_its_own_lot_first_and_then_as_spending_would(owner: Owner) -> None:
    never, own = await owner.credit(10), await owner.credit(10, expire_time=soon(1000))
    await owner.withdraw(4)

    reversed_ = await reverse(owner, own)

    assert uses(reversed_) == [(own.version, 6), (never.version, 4)]
    assert (reversed_.debit_book, reversed_.credit_book) == (operation_pb2.BOOK_CUSTOMER, operation_pb2.BOOK_GRANTED)
    assert ((await owner.read()).lifetime_earned, await owner.available()) == (10, 6)
    await owner.stored()


async def test_a_pending_credit_can_be_taken_back_but_others_pending_points_are_left_alone(owner: Owner) -> None:
    mine, other = await owner.credit(10, available_time=soon(1000)), await owner.credit(10, available_time=soon(1000))

    assert uses(await reverse(owner, mine, 6)) == [(mine.version, 6)]
    assert uses(await reverse(owner, other)) == [(other.version, 10)]
    spent = await owner.credit(5)
    await owner.withdraw(5)
    assert (await refused_without_effect(owner, owner.to_reverse(spent.name))).reason == "POINTS_ALREADY_SPENT"
    assert (await owner.read()).pending == 4
    await owner.stored()


async def test_what_is_held_is_not_taken_back(owner: Owner) -> None:
    credited = await owner.credit(10)
    hold = await owner.reserve(7)

    refusal = await refused_without_effect(owner, owner.to_reverse(credited.name))
    assert (refusal.reason, refusal.metadata) == ("POINTS_ALREADY_SPENT", {"available": "3", "required": "10"})
    assert (await reverse(owner, credited, policy=ALLOW_NEGATIVE)).debt_change == 7

    assert await outcome(owner.send(owner.to_capture(hold))) == "applied"
    assert ((await owner.read()).debt, (await owner.read()).posted) == (7, -7)
    await owner.stored()


@pytest.mark.parametrize(
    ("policy", "taken", "debt"), [(CLAMP, 4, 0), (ALLOW_NEGATIVE, 10, 6)], ids=["clamped to what is there", "the rest is debt"]
)
async def test_spent_points_of_a_credit_are_settled_by_policy(owner: Owner, policy: Any, taken: int, debt: int) -> None:
    credited = await owner.credit(10)
    await owner.withdraw(6)
    assert (await refused_without_effect(owner, owner.to_reverse(credited.name))).metadata == {"available": "4", "required": "10"}

    reversed_ = await reverse(owner, credited, policy=policy)

    assert (reversed_.amount, reversed_.requested_amount, reversed_.debt_change) == (taken, 10, debt)
    assert ((await owner.read()).debt, await owner.available()) == (debt, 0)
    assert (await refused_without_effect(owner, owner.to_reverse(credited.name, 1))).reason == "REVERSAL_EXCEEDS_ORIGINAL"


@pytest.mark.parametrize("policy", [REJECT, CLAMP])
async def test_points_that_pay_for_debt_are_not_there_to_be_taken(owner: Owner, policy: Any) -> None:
    first, second = await owner.credit(10), await owner.credit(10)
    withdrawn = await owner.withdraw(20)
    await reverse(owner, first, policy=ALLOW_NEGATIVE)
    await reverse(owner, withdrawn, 10)  # ten points in lots again, and a debt of ten

    refusal = await refused_without_effect(owner, owner.to_reverse(second.name, 5, shortfall_policy=policy))

    assert (refusal.reason, refusal.metadata) == ("POINTS_ALREADY_SPENT", {"available": "0", "required": "5"})


async def test_an_overdraft_is_repaid_before_points_become_points_again(owner: Owner) -> None:
    await owner.credit(4)
    await owner.set_min_balance(-10)
    withdrawn = await owner.withdraw(10)
    await owner.credit(2)  # repays two of six

    reversed_ = await reverse(owner, withdrawn)

    assert (reversed_.debt_change, uses(reversed_)) == (-4, [(1, 4), (reversed_.version, 2)])
    assert ((await owner.read()).debt, await owner.available()) == (0, 6)
    await owner.stored()


async def test_an_order_that_was_paid_and_reversed_stays_paid(owner: Owner) -> None:
    await owner.credit(10)
    number = order_number()
    await reverse(owner, await owner.withdraw(5, order_number=number))

    assert (await refused_without_effect(owner, owner.to_withdraw(5, order_number=number))).reason == "ORDER_ALREADY_PAID"


async def test_only_what_was_applied_and_moved_points_in_or_out_can_be_reversed(owner: Owner) -> None:
    await owner.credit(10)
    await refusal_of(owner.send(owner.to_withdraw(11)))
    hold = await owner.reserve(2)
    await owner.send(owner.to_extend(hold))
    await owner.send(owner.to_release(hold))
    withdrawn = await owner.withdraw(1)
    await reverse(owner, withdrawn)
    for version in (2, 3, 4, 5, 7):
        refusal = await refused_without_effect(owner, owner.to_reverse(f"{owner.account}/operations/{version}"))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NOT_REVERSIBLE")
    assert (await refused_without_effect(owner, owner.to_reverse(f"{owner.account}/operations/999"))).reason == "OPERATION_NOT_FOUND"


# --- repeats


async def test_a_repeated_reversal_has_the_same_answer_even_when_nothing_is_left_to_reverse(owner: Owner) -> None:
    await owner.credit(10)
    withdrawn = await owner.withdraw(10)
    request = owner.to_reverse(withdrawn.name)
    first = await owner.send(request)
    between = await owner.stored()

    again = await owner.send(request)

    assert (again.replayed, again.operation) == (True, first.operation)
    assert await owner.stored() == between
    others: list[dict[str, Any]] = [{"amount": 10}, {"shortfall_policy": CLAMP}, {"operation": f"{owner.account}/operations/1"}]
    for other in others:
        refusal = await refused_without_effect(
            owner, owner.to_reverse(**{"operation": withdrawn.name, "request_id": request.request_id, **other})
        )
        assert refusal.reason == "REQUEST_ID_REUSED"


async def test_a_refused_reversal_stays_refused_under_its_id(owner: Owner) -> None:
    credited = await owner.credit(10)
    await owner.withdraw(10)
    request = owner.to_reverse(credited.name)
    first = await refusal_of(owner.send(request))
    await owner.credit(50)

    again = await refused_without_effect(owner, request)

    assert (
        (again.reason, again.metadata) == (first.reason, first.metadata) == ("POINTS_ALREADY_SPENT", {"available": "0", "required": "10"})
    )
    assert await outcome(owner.send(owner.to_reverse(credited.name))) == "applied"


async def test_ids_belong_to_their_caller(owner: Owner) -> None:
    await owner.credit(10)
    request_id, number = new_id(), order_number()
    await owner.withdraw(1, request_id=request_id, order_number=number)

    other = owner.to_withdraw(2, request_id=request_id)

    assert await outcome(owner.send(other, owner.orders)) == "applied"
    assert await outcome(owner.send(other, owner.me)) == "REQUEST_ID_REUSED"
    await owner.stored()


# --- who may, and bad input


async def test_only_orders_and_admins_reverse(owner: Owner, new_owner: Callable[[], Owner]) -> None:
    credited = await owner.credit(10)
    request = owner.to_reverse(credited.name, 1)
    for caller in (
        owner.me,
        new_owner().me,
        owner.accrual,
        owner.identities.service("customers"),
        owner.identities.customer("x", roles=("staff",)),
    ):
        refusal = await refused_without_effect(owner, request, caller)
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ACCESS_DENIED")

    assert await outcome(owner.send(request, owner.orders)) == "applied"
    assert await outcome(owner.send(owner.to_reverse(credited.name, 1), owner.identities.customer("boss", roles=("admin",)))) == "applied"


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": -1},
        {"amount": 1_000_000_000_001},
        {"amount": 2**63 - 1},
        {"shortfall_policy": 0},
        {"shortfall_policy": 9},
        {"operation": "programs/main/accounts/x/operations/0"},
        {"operation": f"programs/main/accounts/x/operations/{10**18}"},
        {"request_id": ""},
    ],
    ids=str,
)
async def test_a_malformed_reversal_is_refused_without_effect(owner: Owner, fields: dict[str, Any]) -> None:
    credited = await owner.credit(10)

    refusal = await refused_without_effect(owner, owner.to_reverse(**{"operation": credited.name, **fields}))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
