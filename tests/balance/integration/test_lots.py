"""Every credit is a lot with times of its own: what can be spent, from when and until when, on a real PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from galen.balance.v1 import operation_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from services.balance.adapters.postgres.ledger import LOTS_AT_FIRST
from services.balance.domain.model import Kind
from shared.testing.errors import refusal_of
from tests.balance.world import ALLOW_NEGATIVE, CLAMP, Owner, outcome, refused_without_effect, soon, until


def uses(operation: operation_pb2.Operation) -> list[tuple[int, int]]:
    return [(use.lot, use.amount) for use in operation.lots]


async def expiries(owner: Owner) -> list[tuple[int, int]]:
    """Returns lot and amount of everything that was written down as expired."""
    operations = (await owner.stored()).operations
    return [(operation.related_version or 0, operation.amount) for operation in operations if operation.kind is Kind.LOT_EXPIRY]


async def test_what_expires_first_is_spent_first_and_what_never_expires_last(owner: Owner) -> None:
    never = await owner.credit(10)
    late = await owner.credit(10, expire_time=soon(2000))
    early = await owner.credit(10, expire_time=soon(1000))

    assert uses(await owner.withdraw(12)) == [(early.version, 10), (late.version, 2)]
    assert uses((await owner.send(owner.to_reserve(9))).operation) == [(late.version, 8), (never.version, 1)]
    await owner.stored()


async def test_points_can_be_spent_from_the_second_they_are_available_and_not_before(owner: Owner) -> None:
    start = soon(1.5)
    credited = await owner.credit(10, available_time=start)

    account = await owner.read()
    assert (account.posted, account.available, account.pending) == (10, 0, 10)
    assert (await refused_without_effect(owner, owner.to_withdraw(1))).reason == "INSUFFICIENT_POINTS"
    assert (await refused_without_effect(owner, owner.to_reserve(1))).reason == "INSUFFICIENT_POINTS"

    await until(start)
    account = await owner.read()
    assert (account.available, account.pending) == (10, 0)
    assert uses(await owner.withdraw(10)) == [(credited.version, 10)]
    await owner.stored()


async def test_points_expire_the_second_they_should_for_readers_and_writers(owner: Owner) -> None:
    end = soon(1.5)
    lot = await owner.credit(10, expire_time=end)
    await owner.credit(5)
    account = await owner.read()
    assert (account.available, account.next_expiry.points) == (15, 10)
    assert account.next_expiry.time.ToDatetime(tzinfo=UTC) == end

    await until(end)
    account = await owner.read()
    assert (account.posted, account.available, account.HasField("next_expiry")) == (5, 5, False)
    assert await expiries(owner) == []  # nothing was written yet, and still nothing spends them
    refusal = await refusal_of(owner.send(owner.to_withdraw(6)))
    assert (refusal.reason, refusal.metadata["available"]) == ("INSUFFICIENT_POINTS", "5")
    assert (await refusal_of(owner.send(owner.to_reserve(6)))).reason == "INSUFFICIENT_POINTS"

    assert await expiries(owner) == [(lot.version, 10)]
    assert (await owner.withdraw(5)).balance_after == 0
    assert (await owner.read()).lifetime_earned == 15


async def test_points_that_expire_while_they_are_held_can_be_captured(owner: Owner) -> None:
    end = soon(1.5)
    await owner.credit(10, expire_time=end)
    hold = await owner.reserve(6)
    await until(end)

    assert ((await owner.read()).held, await owner.available()) == (6, 0)
    assert (await owner.send(owner.to_capture(hold, 6))).operation.balance_after == 0

    assert [amount for _, amount in await expiries(owner)] == [4]


@pytest.mark.parametrize("end_of_hold", ["released", "captured in part", "run out"])
async def test_points_that_expired_while_they_were_held_expire_when_they_are_freed(owner: Owner, end_of_hold: str) -> None:
    end = soon(1.2)
    await owner.credit(10, expire_time=end)
    hold = await owner.reserve(10, ttl=timedelta(seconds=1.6) if end_of_hold == "run out" else timedelta(minutes=1))
    await until(end)
    assert (await owner.read()).posted == 10

    if end_of_hold == "released":
        await owner.send(owner.to_release(hold))
    elif end_of_hold == "captured in part":
        await owner.send(owner.to_capture(hold, 3))
    else:
        await until(soon(0.6))
        assert (await owner.read()).posted == 0
        await owner.credit(1)

    assert [amount for _, amount in await expiries(owner)] == [7 if end_of_hold == "captured in part" else 10]
    assert await owner.available() == (1 if end_of_hold == "run out" else 0)


async def test_a_reversed_withdrawal_gives_points_back_to_a_lot_that_has_expired_and_they_expire_at_once(owner: Owner) -> None:
    end = soon(1.5)
    lot = await owner.credit(10, expire_time=end)
    withdrawn = await owner.withdraw(10)
    await until(end)

    assert (await owner.send(owner.to_reverse(withdrawn.name))).operation.balance_after == 10

    assert await expiries(owner) == [(lot.version, 10)]
    assert ((await owner.read()).posted, (await owner.read()).lifetime_spent) == (0, 0)


# --- more lots than are loaded at first


async def many_lots(owner: Owner, count: int) -> None:
    """Credits one point each time, the later the sooner to expire, so that the lots' order is not that of their versions."""
    for place in range(count):
        await owner.credit(1, expire_time=soon(5000 - place))


MANY = LOTS_AT_FIRST + 8


async def test_an_account_with_many_lots_can_spend_them_all_and_in_order(owner: Owner) -> None:
    await many_lots(owner, MANY)

    assert await owner.available() == MANY
    assert (await refused_without_effect(owner, owner.to_withdraw(MANY + 1))).metadata["available"] == str(MANY)
    assert uses(await owner.withdraw(MANY - 1)) == [(version, 1) for version in range(MANY, 1, -1)]
    assert await owner.available() == 1
    await owner.stored()


async def test_many_lots_can_be_held_captured_and_given_back(owner: Owner) -> None:
    await many_lots(owner, MANY)
    await owner.set_min_balance(-1000)  # an overdraft must not hide that there are more lots
    hold = await owner.reserve(MANY)

    captured = (await owner.send(owner.to_capture(hold, MANY - 1))).operation
    assert await owner.available() == 1
    await owner.send(owner.to_reverse(captured.name, 5))

    assert {lot.id for lot in (await owner.stored()).lots if lot.remaining} == {1, 2, 3, 4, 5, 6}


async def test_a_lot_that_was_loaded_for_a_reversal_is_not_spent_before_its_turn(owner: Owner) -> None:
    last = await owner.credit(50)  # never expires: the last in order, not loaded at first
    await many_lots(owner, MANY)

    await owner.send(owner.to_reverse(last.name, 45))
    reserved = (await owner.send(owner.to_reserve(MANY + 1))).operation

    assert uses(reserved)[-2:] == [(last.version + 1, 1), (last.version, 1)]
    taken_back = (await owner.send(owner.to_reverse(last.name, shortfall_policy=CLAMP))).operation
    assert (uses(taken_back), taken_back.requested_amount) == ([(last.version, 4)], 5)
    await owner.stored()


async def test_many_lots_that_expire_together_are_all_written_down_by_whatever_comes_next(owner: Owner) -> None:
    end = soon(6)
    for _ in range(MANY):
        await owner.credit(1, expire_time=end)
    await until(end)

    assert (await owner.credit(3)).balance_after == 3

    assert len(await expiries(owner)) == MANY


# --- debt


async def test_debt_is_repaid_first_and_what_is_available_never_shows_below_zero(owner: Owner) -> None:
    first = await owner.credit(10)
    await owner.withdraw(10)
    reversed_ = (await owner.send(owner.to_reverse(first.name, shortfall_policy=ALLOW_NEGATIVE))).operation
    assert (reversed_.debt_change, reversed_.balance_after) == (10, -10)
    account = await owner.read()
    assert (account.posted, account.debt, account.available) == (-10, 10, 0)

    repaid = await owner.credit(4)
    assert (repaid.debt_change, repaid.balance_after, len(repaid.lots)) == (-4, -6, 0)
    kept = await owner.credit(10, expire_time=soon(1000))

    assert (kept.debt_change, uses(kept)) == (-6, [(kept.version, 4)])
    account = await owner.read()
    assert (account.posted, account.debt, account.available, account.next_expiry.points) == (4, 0, 4, 4)
    await owner.stored()


# --- bad input


@pytest.mark.parametrize(
    "times",
    [
        {"expire_time": soon(-60)},
        {"expire_time": datetime(1970, 1, 1, tzinfo=UTC)},
        {"expire_time": datetime(1, 1, 1, tzinfo=UTC)},
        {"available_time": soon(100_000), "expire_time": soon(100_000 - 1)},
        {"available_time": datetime(2100, 1, 1, tzinfo=UTC), "expire_time": datetime(2100, 1, 1, tzinfo=UTC)},
    ],
    ids=["a minute ago", "long ago", "at the beginning", "before available", "as soon as available"],
)
async def test_points_that_would_expire_before_they_can_be_spent_are_refused(owner: Owner, times: dict[str, Any]) -> None:
    request = owner.to_credit(1, **times)
    assert (await refusal_of(owner.send(request))).reason == "LOT_TIMES_INVALID"
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await owner.read()  # the refused credit has not opened the account
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND

    await owner.credit(1)
    refusal = await refused_without_effect(owner, request)

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "LOT_TIMES_INVALID")


@pytest.mark.parametrize("field", ["available_time", "expire_time"])
@pytest.mark.parametrize("time", [Timestamp(seconds=2**62), Timestamp(seconds=-(2**62)), Timestamp(seconds=1, nanos=-5)], ids=str)
async def test_a_time_that_is_none_is_refused(owner: Owner, field: str, time: Timestamp) -> None:
    await owner.credit(1)

    refusal = await refused_without_effect(owner, owner.to_credit(1, **{field: time}))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


async def test_a_clock_in_the_past_means_at_once_and_the_last_moment_of_all_is_a_time_like_others(owner: Owner) -> None:
    past, end = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)

    await owner.credit(10, available_time=past, expire_time=end)

    account = await owner.read()
    assert (account.available, account.pending) == (10, 0)
    assert account.next_expiry.time.ToDatetime(tzinfo=UTC) == end
    assert await outcome(owner.send(owner.to_withdraw(10))) == "applied"
    await owner.stored()


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": 0},
        {"amount": -5},
        {"amount": 1_000_000_000_001},
        {"amount": 2**63 - 1},
        {"reference": "1" * 10_000},
        {"reference": "\x00"},
    ],
    ids=str,
)
async def test_a_malformed_credit_is_refused_without_effect(owner: Owner, fields: dict[str, Any]) -> None:
    await owner.credit(1)

    assert (await refused_without_effect(owner, owner.to_credit(**{"amount": 1, **fields}))).reason == "INVALID_REQUEST"


async def test_an_account_holds_no_more_than_the_largest_balance(owner: Owner) -> None:
    await owner.credit(1)
    await owner.set_riches(9_000_000_000_000_000 - 999_999)

    request = owner.to_credit(1_000_000)
    assert (await refusal_of(owner.send(request))).reason == "BALANCE_LIMIT_EXCEEDED"
    assert (await refusal_of(owner.send(request))).reason == "BALANCE_LIMIT_EXCEEDED"
    assert await outcome(owner.send(owner.to_credit(999_999))) == "applied"
