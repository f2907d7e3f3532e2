"""All commands in any order, alone and in batches, while time passes and sometimes jumps back, against the token model.

After every step the ledger's answers, its history line by line, and what it stores are what the model counts, and every invariant holds.
test_ledger_mutations.py takes the rules out one at a time and shows that the machine notices each.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.balance.domain.commands import Command
from services.balance.domain.decide import Group
from services.balance.domain.names import AccountName
from tests.balance.invariants import check_account
from tests.balance.unit.books import Books
from tests.balance.unit.token_model import Model, ModelAccount, line_of, told
from tests.balance.unit.wishes import ALICE, BOB, at, commands, credits_, groups, resolve

EFFORT = settings(max_examples=200, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))


class LedgerMachine(RuleBasedStateMachine):
    """Two accounts that are open from the start, with least balances of their own, and one that a credit may open."""

    @initialize(
        lots_at_first=st.integers(1, 3),
        least=st.tuples(*[st.sampled_from([-3, 0, 2])] * 2),
        first=st.lists(credits_, min_size=6, max_size=12),
    )
    def begin(self, lots_at_first: int, least: tuple[int, int], first: list[Command]) -> None:
        self.second = 0
        self.books, self.model = Books(lots_at_first), Model()
        self.sent: list[Command] = []
        for name, min_balance in zip((ALICE, BOB), least, strict=True):
            self.books.open(name, at(0), min_balance=min_balance)
            self.model.accounts[name] = ModelAccount(min_balance, opened_at=at(0))
        self.ask([Group(first)])

    @rule(seconds=st.integers(-2, 5))
    def time_passes(self, seconds: int) -> None:
        self.second += seconds

    @rule(command=commands)
    def one_command(self, command: Command) -> None:
        self.ask([Group([command])])

    @rule(batch=groups)
    def a_batch(self, batch: list[Group]) -> None:
        self.ask(batch)

    @precondition(lambda machine: machine.sent)
    @rule(place=st.integers(0, 1000), times=st.integers(1, 2))
    def a_repeat(self, place: int, times: int) -> None:
        self.post([Group([self.sent[place % len(self.sent)]] * times)])

    @precondition(lambda machine: machine.sent)
    @rule(place=st.integers(0, 1000), command=commands, atomic=st.booleans())
    def an_id_with_another_content(self, place: int, command: Command, atomic: bool) -> None:
        sent = self.sent[place % len(self.sent)]
        other = replace(command, account=sent.account, actor=sent.actor, request_id=sent.request_id)
        self.post([Group([resolve(other, self.books, self.second), sent], atomic)])

    def ask(self, batch: list[Group]) -> None:
        self.post([Group([resolve(command, self.books, self.second) for command in group.commands], group.atomic) for group in batch])

    def post(self, batch: list[Group]) -> None:
        decision = self.books.post(batch, at(self.second))
        assert [list(map(told, outcomes)) for outcomes in decision.outcomes] == self.model.post(batch, at(self.second))
        self.sent += [command for group in batch for command in group.commands]

    @invariant()
    def what_is_stored_is_what_the_model_counts(self) -> None:
        if not hasattr(self, "books"):
            return
        assert self.books.accounts.keys() == self.model.accounts.keys()
        for name, model in self.model.accounts.items():
            account = self.books.accounts[name]
            assert [line_of(operation) for operation in self.books.operations.get(name, [])] == model.history
            assert (account.posted, account.held, account.debt) == (model.posted, model.held, model.debt)
            assert (account.lifetime_earned, account.lifetime_spent) == (model.earned, model.spent)
            assert account.min_balance == model.min_balance
            assert self.lots(name) == {
                lot_id: (*times, *(sum(counted(token) for token in model.tokens if token.lot == lot_id) for counted in (is_there, is_held)))
                for lot_id, times in model.lots.items()
            }
            assert self.holds(name) == {
                hold.id: (
                    hold.state,
                    len(hold.tokens),
                    sum(token.place == hold.id for token in hold.tokens),
                    hold.captured,
                    hold.expires_at,
                )
                for hold in model.holds.values()
            }

    def lots(self, name: AccountName) -> dict[int, tuple[Any, ...]]:
        lots = self.books.lots.get(name, {})
        return {lot.id: (lot.available_at, lot.expires_at, lot.remaining, lot.held) for lot in lots.values()}

    def holds(self, name: AccountName) -> dict[int, tuple[Any, ...]]:
        holds = self.books.holds.get(name, {})
        return {hold.id: (hold.state, hold.amount, hold.remaining, hold.captured, hold.expires_at) for hold in holds.values()}

    @invariant()
    def every_rule_of_the_ledger_holds(self) -> None:
        for stored in self.books.stored() if hasattr(self, "books") else ():
            check_account(stored)


def is_there(token: Any) -> bool:
    return bool(token.place >= 0)


def is_held(token: Any) -> bool:
    return bool(token.place > 0)


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = EFFORT
