"""Holds, reversals and whole accounts raced for by many on two servers, every request sent twice; then every rule is checked in SQL."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta

import grpc
import pytest
from google.protobuf.message import Message

from services.balance.domain.model import HoldState, Kind
from tests.balance.world import ALLOW_NEGATIVE, CLAMP, REJECT, Owner, outcome, soon, until

ROUNDS = 12


async def race(owner: Owner, requests: Sequence[Message]) -> list[str]:
    """Sends every request twice, to both servers, in any order; returns what each came to, and makes sure that both answers agree."""
    twice = [(place, request) for place, request in enumerate(requests) for _ in range(2)]
    random.shuffle(twice)
    answers = await asyncio.gather(*(outcome(owner.send(request)) for _, request in twice))
    told: dict[int, set[str]] = {}
    for (place, _), answer in zip(twice, answers, strict=True):
        assert answer != "replayed" or answer not in told.get(place, ()), "replayed twice: nobody applied it"
        told.setdefault(place, set()).add(answer)
    return [one_of(told[place]) for place in range(len(requests))]


def one_of(answers: set[str]) -> str:
    """Returns what a request sent twice came to: a refusal is told twice alike, an effect is had once and replayed once."""
    if len(answers) == 1 and not answers & {"applied", "replayed"}:
        return next(iter(answers))
    assert answers == {"applied", "replayed"}, answers
    return "applied"


async def test_a_hold_is_captured_or_released_by_exactly_one(owner: Owner) -> None:
    await owner.credit(10 * ROUNDS)
    for _ in range(ROUNDS):
        hold = await owner.reserve(10)
        outcomes = await race(owner, [owner.to_capture(hold), owner.to_release(hold), owner.to_capture(hold, 4), owner.to_release(hold)])
        assert Counter(outcomes) == {"applied": 1, "HOLD_RESOLVED": 3}
    stored = await owner.stored()
    assert {hold.state for hold in stored.holds} == {HoldState.RESOLVED}
    assert stored.account.held == 0


async def test_a_hold_that_runs_out_while_it_is_captured_ends_in_exactly_one_way(new_owner: Callable[[], Owner]) -> None:
    async def contest(owner: Owner) -> str:
        await owner.credit(10)
        hold = await owner.reserve(10, ttl=timedelta(seconds=1))
        end = soon(1)
        await asyncio.sleep(0.9 + random.random() * 0.2)
        outcomes = await race(owner, [owner.to_capture(hold), owner.to_release(hold)])
        await until(end)
        assert await owner.available() == (0 if outcomes[0] == "applied" else 10)
        assert (await owner.hold(hold)).remaining == 0
        await owner.credit(1)  # writes down what has run out
        states = [hold.state for hold in (await owner.stored()).holds]
        if "applied" not in outcomes:
            assert (outcomes, states) == (["HOLD_EXPIRED"] * 2, [HoldState.EXPIRED])
            return "ran out"
        assert sorted(outcomes) == sorted(["applied", outcomes[1 - outcomes.index("applied")]])
        assert states == [HoldState.RESOLVED]
        return "resolved"

    ends = Counter(await asyncio.gather(*(contest(new_owner()) for _ in range(20))))

    assert sum(ends.values()) == 20


async def test_many_holds_and_withdrawals_at_once_take_no_more_than_there_is(owner: Owner) -> None:
    for amount, life in ((10, None), (7, 1000), (8, 2000)):
        await owner.credit(amount, expire_time=soon(life) if life else None)

    outcomes = await race(owner, [make(1) for make in (owner.to_reserve, owner.to_withdraw) for _ in range(30)])

    assert Counter(outcomes) == {"applied": 25, "INSUFFICIENT_POINTS": 35}
    stored = await owner.stored()
    assert stored.account.posted == stored.account.held
    assert all(lot.remaining == lot.held for lot in stored.lots)


@pytest.mark.parametrize("policy", [REJECT, CLAMP, ALLOW_NEGATIVE])
async def test_reversals_of_one_operation_by_many_never_exceed_it(owner: Owner, policy: int) -> None:
    credited = await owner.credit(20)
    withdrawn = await owner.withdraw(20)
    back = [owner.to_reverse(withdrawn.name, 3, shortfall_policy=policy) for _ in range(12)]

    assert Counter(await race(owner, back)) == {"applied": 6, "REVERSAL_EXCEEDS_ORIGINAL": 6}
    assert await owner.available() == 18
    taken = [owner.to_reverse(credited.name, 3, shortfall_policy=policy) for _ in range(12)]
    assert Counter(await race(owner, taken))["applied"] == 6

    reversals = [made for made in (await owner.stored()).applied if made.kind is Kind.REVERSAL]
    assert Counter(made.related_version for made in reversals) == {credited.version: 6, withdrawn.version: 6}


async def test_everything_at_once_on_few_accounts_leaves_every_account_in_order(new_owner: Callable[[], Owner]) -> None:
    owners = [new_owner() for _ in range(4)]
    for owner in owners:
        for _ in range(4):
            await owner.credit(15, expire_time=soon(random.choice([1, 2, 500])))
        await owner.withdraw(5)

    async def storm(owner: Owner) -> Counter[str]:
        outcomes: Counter[str] = Counter()
        for _ in range(5):
            holds = [await hold_something(owner) for _ in range(2)]
            outcomes.update(await race(owner, [request for hold in holds for request in storm_of(owner, hold)]))
            await owner.credit(8, available_time=soon(random.choice([-1, 0.1])), expire_time=soon(random.choice([2, 500])))
        return outcomes

    outcomes = sum(await asyncio.gather(*map(storm, owners)), Counter())

    assert outcomes["applied"] > 100
    assert outcomes.keys() <= EXPECTED
    for owner in owners:
        await owner.stored()


async def hold_something(owner: Owner) -> str:
    await owner.credit(3)
    while True:  # debt may have eaten the credit
        with suppress(grpc.aio.AioRpcError):
            return await owner.reserve(random.randint(1, 3), ttl=random.choice([timedelta(seconds=1), None]))
        await owner.credit(10)


EXPECTED = {
    "applied", "INSUFFICIENT_POINTS", "HOLD_RESOLVED", "HOLD_EXPIRED", "CAPTURE_EXCEEDS_HOLD", "NOT_REVERSIBLE", "POINTS_ALREADY_SPENT",
    "REVERSAL_EXCEEDS_ORIGINAL",
}  # fmt: skip


def storm_of(owner: Owner, hold: str) -> list[Message]:
    hold_id = int(hold.rpartition("/")[2])
    operation = f"{owner.account}/operations/{random.randint(1, hold_id)}"
    policy = random.choice([REJECT, CLAMP, ALLOW_NEGATIVE])
    return [
        owner.to_capture(hold, 1, keep_remainder=True),
        owner.to_capture(hold, random.randint(1, 3)),
        owner.to_release(hold),
        owner.to_extend(hold, ttl=timedelta(seconds=1)),
        owner.to_withdraw(random.randint(1, 4)),
        owner.to_reserve(random.randint(1, 4), ttl=timedelta(seconds=1)),
        owner.to_credit(random.randint(1, 9), expire_time=soon(random.choice([1, 500]) + 0.5)),
        owner.to_reverse(operation, random.choice([0, 1]), shortfall_policy=policy),
    ]
