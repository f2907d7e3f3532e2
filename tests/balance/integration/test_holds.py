"""Points are set aside, spent, freed and run out, over gRPC on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import grpc
import pytest
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1 import hold_pb2, operation_pb2
from google.protobuf.duration_pb2 import Duration

from services.balance.domain.model import Kind
from shared.testing.errors import refusal_of
from tests.balance.world import Owner, new_id, outcome, refused_without_effect, soon, until

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


async def test_a_hold_lowers_what_can_be_spent_and_its_capture_spends_it(owner: Owner) -> None:
    await owner.credit(100)
    hold = await owner.reserve(60, ttl=MINUTE)

    account = await owner.read()
    assert (account.posted, account.held, account.available) == (100, 60, 40)
    assert (await refused_without_effect(owner, owner.to_withdraw(41))).metadata == {"available": "40", "required": "41"}

    captured = (await owner.send(owner.to_capture(hold))).operation
    assert (captured.amount, captured.balance_after, captured.held_after) == (60, 40, 0)
    assert (captured.debit_book, captured.credit_book) == (operation_pb2.BOOK_HELD, operation_pb2.BOOK_REDEEMED)
    account = await owner.read()
    assert (account.available, account.held, account.lifetime_spent) == (40, 0, 60)
    assert (await owner.hold(hold)).state == hold_pb2.HOLD_STATE_RESOLVED
    await owner.stored()


async def test_a_partial_capture_frees_the_remainder_as_an_operation_of_its_own(owner: Owner) -> None:
    await owner.credit(100)
    hold = await owner.reserve(60)

    await owner.send(owner.to_capture(hold, 25))

    found = await owner.hold(hold)
    assert (found.state, found.captured, found.released, found.remaining) == (hold_pb2.HOLD_STATE_RESOLVED, 25, 35, 0)
    assert await owner.available() == 75
    assert (await refused_without_effect(owner, owner.to_capture(hold, 1))).reason == "HOLD_RESOLVED"
    assert [operation.kind for operation in (await owner.stored()).operations][-3:-1] == [Kind.CAPTURE, Kind.RELEASE]


async def test_a_kept_remainder_can_be_captured_again_and_the_last_capture_resolves_the_hold(owner: Owner) -> None:
    await owner.credit(100)
    hold = await owner.reserve(60)

    await owner.send(owner.to_capture(hold, 25, keep_remainder=True))
    assert (await owner.hold(hold)).remaining == 35
    refusal = await refused_without_effect(owner, owner.to_capture(hold, 36))
    assert (refusal.reason, refusal.metadata) == ("CAPTURE_EXCEEDS_HOLD", {"available": "35", "required": "36"})
    await owner.send(owner.to_capture(hold, 35, keep_remainder=True))

    assert (await owner.hold(hold)).state == hold_pb2.HOLD_STATE_RESOLVED
    assert (await owner.read()).posted == 40
    await owner.stored()


async def test_a_released_hold_is_resolved_for_good(owner: Owner) -> None:
    await owner.credit(10)
    hold = await owner.reserve(10)

    released = (await owner.send(owner.to_release(hold))).operation

    assert (released.amount, released.held_after, await owner.available()) == (10, 0, 10)
    for request in (owner.to_release(hold), owner.to_capture(hold), owner.to_extend(hold)):
        assert (await refused_without_effect(owner, request)).reason == "HOLD_RESOLVED"


async def test_a_hold_runs_out_the_second_it_should_for_readers_and_writers(owner: Owner) -> None:
    await owner.credit(10)
    hold = await owner.reserve(10, ttl=SECOND)
    held = await owner.hold(hold)
    assert (held.state, (await owner.read()).held) == (hold_pb2.HOLD_STATE_OPEN, 10)

    await until(held.expire_time.ToDatetime(tzinfo=soon(0).tzinfo))

    account = await owner.read()
    assert (account.available, account.held) == (10, 0)
    found = await owner.hold(hold)
    assert (found.state, found.released, found.remaining) == (hold_pb2.HOLD_STATE_EXPIRED, 10, 0)
    for request in (owner.to_capture(hold), owner.to_release(hold), owner.to_extend(hold, ttl=MINUTE)):
        assert (await refusal_of(owner.send(request))).reason == "HOLD_EXPIRED"
    assert (await owner.withdraw(10)).balance_after == 0
    ends = [operation for operation in (await owner.stored()).operations if operation.kind is Kind.HOLD_EXPIRY]
    assert [(operation.amount, operation.actor) for operation in ends] == [(10, "services/balance")]


@pytest.mark.parametrize("ttl", [MINUTE, None], ids=["a minute", "no end"])
async def test_an_extended_hold_outlives_its_first_end(owner: Owner, ttl: timedelta | None) -> None:
    await owner.credit(10)
    hold = await owner.reserve(10, ttl=SECOND)
    first_end = soon(1)

    extended = (await owner.send(owner.to_extend(hold, ttl=ttl))).operation
    await until(first_end)

    assert (extended.amount, extended.held_after) == (0, 10)
    assert (await owner.hold(hold)).HasField("expire_time") is (ttl is not None)
    assert (await owner.send(owner.to_capture(hold))).operation.amount == 10
    await owner.stored()


async def test_an_overdraft_can_be_spent_but_not_set_aside(owner: Owner) -> None:
    await owner.credit(10)
    await owner.set_min_balance(-5)

    assert (await refused_without_effect(owner, owner.to_reserve(11))).metadata == {"available": "10", "required": "11"}
    assert (await refused_without_effect(owner, owner.to_withdraw(16))).metadata == {"available": "15", "required": "16"}
    assert (await owner.withdraw(15)).debt_change == 5
    assert ((await owner.read()).debt, await owner.available()) == (5, 0)
    await owner.stored()


async def test_what_must_remain_can_be_neither_spent_nor_set_aside(owner: Owner) -> None:
    await owner.credit(10)
    await owner.set_min_balance(4)

    assert (await refused_without_effect(owner, owner.to_reserve(7))).metadata == {"available": "6", "required": "7"}
    assert (await refused_without_effect(owner, owner.to_withdraw(7))).metadata == {"available": "6", "required": "7"}
    await owner.reserve(6)
    await owner.stored()


# --- repeats


async def _held(owner: Owner) -> str:
    await owner.credit(100)
    return await owner.reserve(50)


REQUESTS: dict[str, Callable[[Owner, str, str], Any]] = {
    "reserve": lambda owner, _hold, request_id: owner.to_reserve(20, request_id=request_id),
    "extend": lambda owner, hold, request_id: owner.to_extend(hold, ttl=MINUTE, request_id=request_id),
    "capture": lambda owner, hold, request_id: owner.to_capture(hold, 20, keep_remainder=True, request_id=request_id),
    "release": lambda owner, hold, request_id: owner.to_release(hold, request_id=request_id),
}
OTHERS: dict[str, Callable[[Owner, str, str], Any]] = {
    "reserve": lambda owner, _hold, request_id: owner.to_reserve(21, request_id=request_id),
    "extend": lambda owner, hold, request_id: owner.to_extend(hold, request_id=request_id),
    "capture": lambda owner, hold, request_id: owner.to_capture(hold, 20, request_id=request_id),
    "release": lambda owner, _hold, request_id: owner.to_reserve(50, request_id=request_id),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_repeat_has_the_same_answer_and_no_second_effect(owner: Owner, name: str) -> None:
    hold = await _held(owner)
    request = REQUESTS[name](owner, hold, new_id())
    first = await owner.send(request)
    between = await owner.stored()

    again = await owner.send(request)

    assert (first.replayed, again.replayed) == (False, True)
    assert (again.operation, again.hold) == (first.operation, first.hold)
    assert await owner.stored() == between


@pytest.mark.parametrize("name", REQUESTS)
async def test_an_id_with_another_content_is_refused_without_effect(owner: Owner, name: str) -> None:
    hold, request_id = await _held(owner), new_id()
    await owner.send(REQUESTS[name](owner, hold, request_id))

    refusal = await refused_without_effect(owner, OTHERS[name](owner, hold, request_id))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")


async def test_a_refused_reservation_stays_refused_under_its_id_when_points_have_come(owner: Owner) -> None:
    await owner.credit(10)
    request = owner.to_reserve(11)
    first = await refusal_of(owner.send(request))
    await owner.credit(100)

    again = await refused_without_effect(owner, request)

    assert (
        (again.reason, again.metadata) == (first.reason, first.metadata) == ("INSUFFICIENT_POINTS", {"available": "10", "required": "11"})
    )


async def test_what_succeeded_is_answered_alike_after_the_hold_has_run_out(owner: Owner) -> None:
    await owner.credit(10)
    to_reserve = owner.to_reserve(10, ttl=SECOND)
    reserved = await owner.send(to_reserve)
    to_capture = owner.to_capture(reserved.hold, 4, keep_remainder=True)
    captured = await owner.send(to_capture)
    await until(soon(1))

    assert (await owner.send(to_capture)).operation == captured.operation
    assert (await owner.send(to_reserve)).operation == reserved.operation
    assert (await refusal_of(owner.send(owner.to_capture(reserved.hold, 4)))).reason == "HOLD_EXPIRED"
    assert await owner.available() == 6
    await owner.stored()


# --- who may


async def test_people_must_say_for_how_long_they_hold_and_services_need_not(owner: Owner) -> None:
    await owner.credit(10)

    refusal = await refused_without_effect(owner, owner.to_reserve(1), owner.me)

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert await outcome(owner.send(owner.to_reserve(1, ttl=MINUTE), owner.me)) == "applied"
    assert await outcome(owner.send(owner.to_reserve(1), owner.orders)) == "applied"


async def test_only_orders_captures_and_extends_and_nobody_touches_anothers_hold(owner: Owner, new_owner: Callable[[], Owner]) -> None:
    await owner.credit(10)
    hold, thief = await owner.reserve(5), new_owner()
    admin = owner.identities.customer("boss", roles=("admin",))
    wrong = [
        (owner.to_reserve(1, ttl=MINUTE), [thief.me, owner.accrual, admin]),
        (owner.to_extend(hold, ttl=MINUTE), [owner.me, owner.accrual, admin]),
        (owner.to_capture(hold), [owner.me, thief.me, owner.accrual, admin]),
        (owner.to_release(hold), [thief.me, owner.accrual, admin]),
        (messages.GetHoldRequest(name=hold), [thief.me, owner.accrual]),
    ]
    for request, callers in wrong:
        for caller in callers:
            refusal = await refused_without_effect(owner, request, caller)
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ACCESS_DENIED")
        assert (await refused_without_effect(owner, request, ())).code is grpc.StatusCode.UNAUTHENTICATED

    assert await outcome(owner.send(owner.to_release(hold), owner.me)) == "applied"


# --- bad input


async def test_holds_that_do_not_exist_are_not_found(owner: Owner, new_owner: Callable[[], Owner]) -> None:
    other = new_owner()
    await owner.credit(10)
    await other.credit(10)
    theirs = await other.reserve(5)
    for hold in (
        f"{owner.account}/holds/1",
        f"{owner.account}/holds/999999999999999999",
        f"{owner.account}/holds/{theirs.rpartition('/')[2]}",
    ):
        for request in (owner.to_extend(hold), owner.to_capture(hold), owner.to_release(hold), messages.GetHoldRequest(name=hold)):
            refusal = await refused_without_effect(owner, request)
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.NOT_FOUND, "HOLD_NOT_FOUND")


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": 0},
        {"amount": -1},
        {"amount": 1_000_000_000_001},
        {"amount": 2**63 - 1},
        {"reference": ""},
        {"reference": "9" * 10_000},
        {"reference": "a\nb"},
        {"request_id": "not a uuid"},
        {"account": "programs/main/accounts/"},
        {"account": "programs/main/accounts/a/holds/1"},
        {"ttl": timedelta(0)},
        {"ttl": timedelta(seconds=-1)},
        {"ttl": timedelta(milliseconds=999)},
        {"ttl": timedelta(days=366)},
        {"ttl": Duration(seconds=5, nanos=-5)},
        {"ttl": Duration(seconds=5, nanos=2_000_000_000)},
        {"ttl": Duration(seconds=2**62)},
    ],
    ids=str,
)
async def test_a_malformed_reservation_is_refused_without_effect(owner: Owner, fields: dict[str, Any]) -> None:
    await owner.credit(10)

    refusal = await refused_without_effect(owner, owner.to_reserve(**{"amount": 1, **fields}))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


@pytest.mark.parametrize("amount", [-1, 1_000_000_000_001])
async def test_a_malformed_capture_is_refused_without_effect(owner: Owner, amount: int) -> None:
    hold = await _held(owner)

    assert (await refused_without_effect(owner, owner.to_capture(hold, amount))).reason == "INVALID_REQUEST"


async def test_nothing_can_be_set_aside_in_an_account_that_was_never_opened_or_a_programme_that_is_not_there(owner: Owner) -> None:
    assert (await refusal_of(owner.send(owner.to_reserve(1)))).reason == "ACCOUNT_NOT_FOUND"
    assert (await refusal_of(owner.send(owner.to_release(f"{owner.account}/holds/1")))).reason == "ACCOUNT_NOT_FOUND"
    elsewhere = owner.to_reserve(1, account=f"programs/none/accounts/{owner.id}")
    assert (await refusal_of(owner.send(elsewhere))).reason == "PROGRAM_NOT_FOUND"
