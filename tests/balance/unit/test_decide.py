"""Batches and single commands agree, accounts don't disturb each other, and the edges that random small numbers don't reach."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balance.domain.commands import Capture, Command, Credit, Open, Reserve, Reverse, Withdraw
from services.balance.domain.decide import Group, Outcome, Recorded, Unrecorded
from services.balance.domain.model import BALANCE_MAX, HoldState, Refusal
from services.balance.domain.model import ShortfallPolicy as Policy
from tests.balance.invariants import Stored
from tests.balance.unit.books import Books
from tests.balance.unit.wishes import ALICE, BOB, CAROL, at, commands, resolve, signed


def books() -> Books:
    made = Books(lots_at_first=2)
    for name in (ALICE, BOB):
        made.open(name, at(0))
    return made


def everything(made: Books) -> list[Stored]:
    return sorted(made.stored(), key=lambda stored: stored.account.name.account_id)


def wish(kind: type[Command], request: int = 1, **fields: object) -> Command:
    identity = {"account": ALICE, "actor": "services/orders", "request_id": UUID(int=request), "fingerprint": b""}
    return signed(kind(**{**identity, **fields}))  # type: ignore[arg-type]


def credit(amount: int, request: int = 1, **fields: object) -> Command:
    return wish(Credit, request, amount=amount, reference="18", **fields)


def one(made: Books, command: Command, second: int = 0) -> Outcome:
    ((outcome,),) = made.post([Group([command])], at(second)).outcomes
    return outcome


def refusal(outcome: Outcome) -> Refusal | None:
    assert isinstance(outcome, Recorded)
    return outcome.operation.refusal


wishes_ = st.lists(commands, max_size=25).map(lambda wishes: [resolve(command, books(), 0) for command in wishes])


@given(wishes_)
def test_one_batch_gives_what_the_same_commands_give_one_by_one(wishes: list[Command]) -> None:
    together, apart = books(), books()
    (outcomes,) = together.post([Group(wishes)], at(0)).outcomes

    assert list(outcomes) == [one(apart, command) for command in wishes]
    assert everything(together) == everything(apart)


@given(wishes_)
def test_the_order_of_commands_matters_only_within_an_account(wishes: list[Command]) -> None:
    by_account = sorted(wishes, key=lambda command: command.account.account_id)
    mixed, sorted_out = books(), books()
    mixed.post([Group(wishes)], at(0))
    sorted_out.post([Group(by_account)], at(0))

    assert everything(mixed) == everything(sorted_out)


@given(wishes_)
def test_everything_sent_again_has_its_first_answer_and_changes_nothing(wishes: list[Command]) -> None:
    made = books()
    (first,) = made.post([Group(wishes)], at(0)).outcomes
    before = everything(made)
    recorded = [(command, outcome) for command, outcome in zip(wishes, first, strict=True) if isinstance(outcome, Recorded)]

    for command, outcome in recorded:
        assert one(made, command) == Recorded(outcome.operation, replayed=True)
    assert everything(made) == before


@given(wishes_)
def test_a_failed_atomic_group_records_nothing(wishes: list[Command]) -> None:
    made = books()
    one(made, credit(3, 77_000))
    before = everything(made)
    impossible = wish(Withdraw, 88_000, amount=1000, reference="42")

    (outcomes,) = made.post([Group([*wishes, impossible], atomic=True)], at(0)).outcomes

    assert everything(made) == before
    assert not any(isinstance(outcome, Recorded) and outcome.operation.refusal is None for outcome in outcomes)


def test_in_a_failed_atomic_group_a_repeat_keeps_its_answer_and_a_duplicate_of_what_was_undone_does_not() -> None:
    made = books()
    earlier = one(made, credit(3, 1))
    fails = wish(Withdraw, 3, amount=1000, reference="42")

    (outcomes,) = made.post([Group([credit(3, 1), credit(5, 2), credit(5, 2), fails], atomic=True)], at(0)).outcomes

    assert isinstance(earlier, Recorded)
    assert outcomes[:3] == [Recorded(earlier.operation, replayed=True), Unrecorded.ABORTED, Unrecorded.ABORTED]
    assert refusal(outcomes[3]) is Refusal.INSUFFICIENT_POINTS


def test_a_credit_opens_an_account_for_the_commands_after_it_and_not_for_those_before() -> None:
    made = books()
    spend = wish(Withdraw, 1, account=CAROL, amount=1, reference="18")

    (outcomes,) = made.post([Group([spend, credit(1, 2, account=CAROL), spend])], at(0)).outcomes

    assert outcomes[0] is Unrecorded.NO_ACCOUNT
    assert [refusal(outcome) for outcome in outcomes[1:]] == [None, None]


def test_a_credit_that_is_refused_opens_no_account() -> None:
    made = books()
    late = credit(1, account=CAROL, expires_at=at(-1))

    assert one(made, late) is Unrecorded.LOT_TIMES
    assert CAROL not in made.accounts


@pytest.mark.parametrize("kind", [Credit, Open])
def test_a_credit_beyond_the_largest_balance_is_refused_and_remembered(kind: type[Credit]) -> None:
    made = books()
    made.accounts[BOB] = replace(made.accounts[BOB], posted=BALANCE_MAX - 1)

    assert refusal(one(made, wish(kind, 1, account=BOB, amount=2, reference="18"))) is Refusal.BALANCE_LIMIT_EXCEEDED
    assert refusal(one(made, wish(kind, 1, account=BOB, amount=2, reference="18"))) is Refusal.BALANCE_LIMIT_EXCEEDED
    assert made.accounts[BOB].posted == BALANCE_MAX - 1
    assert refusal(one(made, wish(Credit, 2, account=BOB, amount=1, reference="18"))) is None


def test_lots_that_expire_in_the_last_second_of_all_are_told_apart() -> None:
    made, end = books(), at(0).replace(year=9999, month=12, day=31)
    one(made, credit(1, 1, expires_at=end.replace(microsecond=3)))
    one(made, credit(1, 2, expires_at=end.replace(microsecond=2)))

    spent = one(made, wish(Withdraw, 3, amount=1, reference="18"))

    assert isinstance(spent, Recorded)
    assert spent.operation.lots == ((2, 1),)


def test_a_hold_that_ran_out_before_a_clock_was_set_back_stays_run_out() -> None:
    made = books()
    one(made, credit(5, 1), second=0)
    one(made, wish(Reserve, 2, amount=5, reference="18", ttl=timedelta(seconds=10)), second=0)
    one(made, credit(1, 3), second=10)

    late = one(made, wish(Capture, 4, hold_id=2), second=5)

    assert refusal(late) is Refusal.HOLD_EXPIRED
    assert made.holds[ALICE][2].state is HoldState.EXPIRED


def test_a_clamped_reversal_counts_for_what_was_asked() -> None:
    made = books()
    one(made, credit(10, 1))
    one(made, wish(Withdraw, 2, amount=7, reference="18"))
    clamped = one(made, wish(Reverse, 3, version=1, amount=6, policy=Policy.CLAMP))
    one(made, credit(100, 4))

    assert isinstance(clamped, Recorded)
    assert (clamped.operation.amount, clamped.operation.requested_amount) == (3, 6)
    assert refusal(one(made, wish(Reverse, 5, version=1, amount=5))) is Refusal.REVERSAL_EXCEEDS_ORIGINAL
    assert refusal(one(made, wish(Reverse, 6, version=1, amount=4))) is None
