"""The rules of the ledger against an independent model, naive and obviously right, by the thousand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balance.domain.ledger import (
    BALANCE_MAX,
    Account,
    Command,
    Decision,
    KeyReused,
    Kind,
    NoAccount,
    Operation,
    Recorded,
    Refusal,
    State,
    decide,
)
from services.balance.domain.names import AccountName

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALICE, BOB = AccountName("main", "alice"), AccountName("main", "bob")


def account(name: AccountName, *, posted: int = 0, version: int = 0) -> Account:
    return Account(name, version, posted, 0, 0, 0, 0, 0, NOW, NOW)


def command(kind: Kind, amount: int, *, name: AccountName = ALICE, request: int = 1, reference: str = "18", actor: str = "x") -> Command:
    content = f"{kind}{name}{amount}{reference}".encode()
    return Command(kind, name, amount, reference, actor, UUID(int=request), content)


def state(*accounts: Account, now: datetime = NOW) -> State:
    return State(now, {account.name: account for account in accounts})


def after(before: State, decision: Decision) -> State:
    """What the database would hold after `decision` was stored, as a later load of everything would find it."""
    payments = {
        (operation.account, operation.reference): operation
        for operation in decision.operations
        if operation.kind is Kind.WITHDRAWAL and operation.refusal is None
    }
    return State(
        before.now,
        {**before.accounts, **{account.name: account for account in decision.accounts}},
        {**before.recorded, **{operation.identity: operation for operation in decision.operations}},
        {**before.payments, **payments},
    )


class Model:
    """An account book kept by hand: a list of answers and a number."""

    def __init__(self) -> None:
        self.balance = {ALICE: 0, BOB: 0}
        self.answers: dict[tuple[AccountName, str, UUID], tuple[bytes, object]] = {}
        self.paid: set[tuple[AccountName, str]] = set()

    def apply(self, wish: Command) -> object:
        fingerprint, answer = self.answers.get(wish.identity, (None, None))
        if fingerprint is None:
            answer = self._decide(wish)
            self.answers[wish.identity] = (wish.fingerprint, answer)
            return answer
        return answer if fingerprint == wish.fingerprint else "reused"

    def _decide(self, wish: Command) -> object:
        if wish.kind is Kind.CREDIT:
            self.balance[wish.account] += wish.amount
        elif (wish.account, wish.reference) in self.paid:
            return Refusal.ORDER_ALREADY_PAID
        elif self.balance[wish.account] < wish.amount:
            return Refusal.INSUFFICIENT_POINTS
        else:
            self.balance[wish.account] -= wish.amount
            self.paid.add((wish.account, wish.reference))
        return self.balance[wish.account]


def told(outcome: object) -> object:
    """An outcome in the model's words: the balance after it, the refusal, or `reused`."""
    if isinstance(outcome, Recorded):
        return outcome.operation.refusal or outcome.operation.posted_after
    assert isinstance(outcome, KeyReused)
    return "reused"


commands = st.builds(
    command,
    st.sampled_from(Kind),
    st.integers(1, 5),
    name=st.sampled_from([ALICE, BOB]),
    request=st.integers(1, 12),
    reference=st.sampled_from(["18", "26", "34"]),
    actor=st.sampled_from(["x", "y"]),
)


@given(st.lists(st.lists(commands, max_size=8), max_size=8))
def test_batches_decide_what_the_model_decides_one_by_one_and_histories_have_no_gaps(batches: list[list[Command]]) -> None:
    model, current = Model(), state(account(ALICE), account(BOB))
    history: list[Operation] = []
    for batch in batches:
        decision = decide(batch, current)
        assert [told(outcome) for outcome in decision.outcomes] == [model.apply(wish) for wish in batch]
        history += decision.operations
        current = after(current, decision)
    for name in (ALICE, BOB):
        assert current.accounts[name].posted == model.balance[name]
        check_history([operation for operation in history if operation.account == name], current.accounts[name])


def check_history(operations: list[Operation], final: Account) -> None:
    posted = 0
    for place, operation in enumerate(operations, start=1):
        assert operation.version == place
        posted += operation.amount if operation.kind is Kind.CREDIT else -operation.amount
        assert operation.posted_after == posted >= 0
        assert (operation.amount == 0) == (operation.refusal is not None)
    assert (final.version, final.posted) == (len(operations), posted)
    assert final.lifetime_earned - final.lifetime_spent == posted


@given(st.lists(commands, max_size=20))
def test_one_batch_gives_what_the_same_commands_give_one_by_one(wishes: list[Command]) -> None:
    together = decide(wishes, state(account(ALICE), account(BOB)))
    current, outcomes = state(account(ALICE), account(BOB)), []
    for wish in wishes:
        decision = decide([wish], current)
        outcomes += decision.outcomes
        current = after(current, decision)

    assert list(together.outcomes) == outcomes


def test_a_repeat_is_answered_before_the_balance_is_looked_at() -> None:
    first = decide([command(Kind.WITHDRAWAL, 5)], state(account(ALICE, posted=5)))
    again = decide([command(Kind.WITHDRAWAL, 5)], after(state(account(ALICE, posted=5)), first))

    assert again.outcomes == [Recorded(first.operations[0], replayed=True)]
    assert not again.operations


def test_nothing_is_recorded_for_an_account_that_does_not_exist() -> None:
    decision = decide([command(Kind.WITHDRAWAL, 1)], state())

    assert decision.outcomes == [NoAccount()]
    assert not decision.operations


def test_a_credit_beyond_the_largest_balance_is_refused_and_remembered() -> None:
    decision = decide([command(Kind.CREDIT, 2)], state(account(ALICE, posted=BALANCE_MAX - 1)))

    assert decision.operations[0].refusal is Refusal.BALANCE_LIMIT_EXCEEDED
    assert decision.accounts[0].posted == BALANCE_MAX - 1


@pytest.mark.parametrize("offset_s", [-3600, 3600])
def test_time_never_runs_backwards_in_a_history(offset_s: int) -> None:
    before = account(ALICE)
    decision = decide([command(Kind.CREDIT, 1)], state(before, now=NOW + timedelta(seconds=offset_s)))

    assert decision.operations[0].created_at == max(NOW, NOW + timedelta(seconds=offset_s))
    assert decision.accounts[0].updated_at == decision.operations[0].created_at


def test_points_that_are_held_or_pending_can_not_be_spent() -> None:
    partly = replace(account(ALICE, posted=10), held=3, pending=4)

    assert decide([command(Kind.WITHDRAWAL, 4)], state(partly)).operations[0].refusal is Refusal.INSUFFICIENT_POINTS
    assert decide([command(Kind.WITHDRAWAL, 3)], state(partly)).operations[0].refusal is None
