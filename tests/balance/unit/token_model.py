"""The ledger kept by hand: every hundredth of a point is an object that lies somewhere. Slow, naive and obviously right.

It shares no rule with the ledger: nothing is summed up or remembered that can be counted again, and a batch is its commands, one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any, NamedTuple

from services.balance.domain.commands import (
    Capture,
    Command,
    Credit,
    Extend,
    Open,
    Release,
    Reserve,
    Reverse,
    SetMinBalance,
    Settle,
    Withdraw,
)
from services.balance.domain.decide import Group, Outcome, Recorded
from services.balance.domain.model import HoldState, Kind, LotUses, Operation, Refusal, ShortfallPolicy
from services.balance.domain.names import AccountName

FREE, GONE = 0, -1  # any other place is a hold


class Token:
    """A hundredth of a point, of a lot, in a place."""

    def __init__(self, lot: int) -> None:
        self.lot = lot
        self.place = FREE


class Line(NamedTuple):
    """What a history should say of an operation."""

    version: int
    kind: Kind
    amount: int
    requested: int
    posted_after: int
    held_after: int
    reference: str
    created_at: datetime
    refusal: Refusal | None
    available: int | None
    related: int | None
    lots: LotUses
    debt_change: int


def line_of(operation: Operation) -> Line:
    return Line(
        operation.version, operation.kind, operation.amount, operation.requested_amount, operation.posted_after, operation.held_after,
        operation.reference, operation.created_at, operation.refusal, operation.available_at_refusal, operation.related_version,
        operation.lots, operation.debt_change,
    )  # fmt: skip


@dataclass
class ModelHold:
    id: int
    state: HoldState
    tokens: list[Token]  # all that was set aside, in spending order
    reference: str
    expires_at: datetime | None
    captured: int = 0


Told = str | tuple[int, bool, Refusal | None]
"""An outcome: why nothing was recorded, or the version, whether it is a repeat, and the refusal."""


def told(outcome: Outcome) -> Told:
    if isinstance(outcome, Recorded):
        return outcome.operation.version, outcome.replayed, outcome.operation.refusal
    return outcome.name


@dataclass
class ModelAccount:
    """An account, and what its owner could work out with pencil and paper."""

    min_balance: int
    opened_at: datetime
    tokens: list[Token] = field(default_factory=list)
    lots: dict[int, tuple[datetime, datetime | None]] = field(default_factory=dict)
    holds: dict[int, ModelHold] = field(default_factory=dict)
    history: list[Line] = field(default_factory=list)
    moved: dict[int, list[Token | None]] = field(default_factory=dict)  # by version; None is a hundredth that made debt
    undone: dict[int, int] = field(default_factory=dict)
    debt: int = 0
    earned: int = 0
    spent: int = 0

    def __post_init__(self) -> None:
        self.time = self.opened_at

    @property
    def posted(self) -> int:
        return sum(token.place != GONE for token in self.tokens) - self.debt

    @property
    def held(self) -> int:
        return sum(token.place > 0 for token in self.tokens)

    @property
    def next_version(self) -> int:
        return len(self.history) + 1

    def key(self, token: Token) -> tuple[bool, str, int]:
        expires = self.lots[token.lot][1]
        return expires is None, expires.isoformat() if expires else "", token.lot

    def spendable(self) -> list[Token]:
        """Returns the tokens that can be spent, soonest to expire first."""
        return sorted((token for token in self.tokens if token.place == FREE and self.is_good(token)), key=self.key)

    def is_good(self, token: Token) -> bool:
        return self.lots[token.lot][0] <= self.time and not self.is_expired(token)

    def is_expired(self, token: Token) -> bool:
        expires = self.lots[token.lot][1]
        return expires is not None and expires <= self.time

    def write(
        self, kind: Kind, moved: Sequence[Token | None], reference: str, *, amount: int | None = None, requested: int | None = None,
        refusal: Refusal | None = None, available: int | None = None, related: int | None = None, debt_change: int = 0,
    ) -> Line:  # fmt: skip
        amount = len(moved) if amount is None else amount
        lots = tuple((lot, len(list(run))) for lot, run in groupby(token.lot for token in moved if token))
        line = Line(
            self.next_version, kind, amount, amount if requested is None else requested, self.posted, self.held, reference,
            self.time, refusal, available, related, lots, debt_change,
        )  # fmt: skip
        self.moved[line.version] = list(moved)
        self.history.append(line)
        return line

    def refuse(self, kind: Kind, refusal: Refusal, requested: int, reference: str, **details: Any) -> Line:
        return self.write(kind, [], reference, requested=requested, refusal=refusal, **details)

    def settle(self) -> None:
        due = [hold for hold in self.holds.values() if hold.state is HoldState.OPEN and hold.expires_at and hold.expires_at <= self.time]
        for hold in sorted(due, key=lambda hold: (hold.expires_at, hold.id)):
            self.free(hold, HoldState.EXPIRED, Kind.HOLD_EXPIRY)
        self.expire()

    def free(self, hold: ModelHold, state: HoldState, kind: Kind) -> Line:
        freed = [token for token in hold.tokens if token.place == hold.id]
        for token in freed:
            token.place = FREE
        hold.state = state
        return self.write(kind, freed, hold.reference, related=hold.id)

    def expire(self) -> None:
        expired = [token for token in self.tokens if token.place == FREE and self.is_expired(token)]
        for lot, run in groupby(sorted(expired, key=self.key), key=lambda token: token.lot):
            gone = list(run)
            for token in gone:
                token.place = GONE
            self.write(Kind.LOT_EXPIRY, gone, "", related=lot)

    # --- the commands

    def credit(self, command: Credit) -> Line | str:
        if isinstance(command, Open) and self.history:
            return self.refuse(command.kind, Refusal.ACCOUNT_NOT_EMPTY, command.amount, command.reference)
        available = command.available_at if command.available_at and command.available_at > self.time else self.time
        if command.expires_at and command.expires_at <= available:
            return "LOT_TIMES"
        self.lots[self.next_version] = available, command.expires_at
        tokens = [Token(self.next_version) for _ in range(command.amount)]
        repaid = 0
        while self.debt and tokens:
            tokens.pop()
            self.debt -= 1
            repaid += 1
        self.tokens += tokens
        self.earned += command.amount
        return self.write(command.kind, tokens, command.reference, amount=command.amount, debt_change=-repaid)

    def withdraw(self, command: Withdraw) -> Line:
        for line in self.history:
            if line.kind is Kind.WITHDRAWAL and line.refusal is None and line.reference == command.reference:
                return self.refuse(command.kind, Refusal.ORDER_ALREADY_PAID, command.amount, command.reference, related=line.version)
        most = len(self.spendable()) - self.debt - self.min_balance
        if command.amount > most:
            return self.insufficient(command, most)
        moved = self.take(command.amount, self.spendable())
        self.spent += command.amount
        return self.write(command.kind, moved, command.reference, debt_change=moved.count(None))

    def insufficient(self, command: Withdraw | Reserve, most: int) -> Line:
        return self.refuse(command.kind, Refusal.INSUFFICIENT_POINTS, command.amount, command.reference, available=max(0, most))

    def take(self, amount: int, order: list[Token]) -> list[Token | None]:
        moved: list[Token | None] = []
        for _ in range(amount):
            token = order.pop(0) if order else None
            moved.append(token)
            if token:
                token.place = GONE
            else:
                self.debt += 1
        return moved

    def reserve(self, command: Reserve) -> Line:
        most = len(self.spendable()) - self.debt - max(0, self.min_balance)
        if command.amount > most:
            return self.insufficient(command, most)
        tokens = self.spendable()[: command.amount]
        for token in tokens:
            token.place = self.next_version
        expires = self.time + command.ttl if command.ttl is not None else None
        self.holds[self.next_version] = ModelHold(self.next_version, HoldState.OPEN, tokens, command.reference, expires)
        return self.write(command.kind, tokens, command.reference)

    def set_min_balance(self, command: SetMinBalance) -> Line:
        self.min_balance = command.min_balance
        return self.write(command.kind, [], "", requested=command.min_balance)

    def on_hold(self, command: Extend | Capture | Release) -> Line | str:
        hold = self.holds.get(command.hold_id)
        if hold is None:
            return "NO_HOLD"
        requested = command.amount or 0 if isinstance(command, Capture) else 0
        if hold.state is not HoldState.OPEN:
            refusal = Refusal.HOLD_EXPIRED if hold.state is HoldState.EXPIRED else Refusal.HOLD_RESOLVED
            return self.refuse(command.kind, refusal, requested, hold.reference, related=hold.id)
        if isinstance(command, Extend):
            hold.expires_at = self.time + command.ttl if command.ttl is not None else None
            return self.write(command.kind, [], hold.reference, related=hold.id)
        if isinstance(command, Release):
            line = self.free(hold, HoldState.RESOLVED, Kind.RELEASE)
            self.expire()
            return line
        return self.capture(command, hold)

    def capture(self, command: Capture, hold: ModelHold) -> Line:
        left = [token for token in hold.tokens if token.place == hold.id]
        amount = len(left) if command.amount is None else command.amount
        if amount > len(left):
            details = {"available": len(left), "related": hold.id}
            return self.refuse(command.kind, Refusal.CAPTURE_EXCEEDS_HOLD, amount, hold.reference, **details)
        for token in left[:amount]:
            token.place = GONE
        hold.captured += amount
        self.spent += amount
        line = self.write(command.kind, left[:amount], hold.reference, related=hold.id)
        if amount == len(left):
            hold.state = HoldState.RESOLVED
        elif not command.keep_remainder:
            self.free(hold, HoldState.RESOLVED, Kind.RELEASE)
            self.expire()
        return line

    def reverse(self, command: Reverse) -> Line | str:
        if not 0 < command.version <= len(self.history):
            return "NO_OPERATION"
        original = self.history[command.version - 1]
        reversible = {Kind.CREDIT, Kind.OPENING, Kind.WITHDRAWAL, Kind.CAPTURE}
        if original.refusal is not None or original.kind not in reversible:
            return self.refuse(command.kind, Refusal.NOT_REVERSIBLE, command.amount or 0, original.reference, related=original.version)
        left = original.amount - self.undone.get(original.version, 0)
        amount = left if command.amount is None else command.amount
        if amount == 0 or amount > left:
            details = {"available": left, "related": original.version}
            return self.refuse(command.kind, Refusal.REVERSAL_EXCEEDS_ORIGINAL, amount, original.reference, **details)
        undo = self.take_back if original.kind in {Kind.CREDIT, Kind.OPENING} else self.give_back
        line = undo(command, original, amount)
        if line.refusal is None:
            self.undone[original.version] = self.undone.get(original.version, 0) + amount
        self.expire()
        return line

    def take_back(self, command: Reverse, original: Line, amount: int) -> Line:
        own = [token for token in self.tokens if token.place == FREE and token.lot == original.version]
        order = own + [token for token in self.spendable() if token not in own]
        there = max(0, len(order) - self.debt)
        taken = amount
        if there < amount and command.policy is not ShortfallPolicy.ALLOW_NEGATIVE:
            taken = there if command.policy is ShortfallPolicy.CLAMP else 0
        if taken == 0:
            details = {"available": there, "related": original.version}
            return self.refuse(command.kind, Refusal.POINTS_ALREADY_SPENT, amount, original.reference, **details)
        moved = self.take(taken, order)
        self.earned -= taken
        return self.write(
            command.kind, moved, original.reference, requested=amount, related=original.version, debt_change=moved.count(None)
        )  # fmt: skip

    def give_back(self, command: Reverse, original: Line, amount: int) -> Line:
        back: list[Token] = []
        new: list[Token] = []
        units = self.moved[original.version].copy()
        for _ in range(self.undone.get(original.version, 0)):
            units.pop()
        for _ in range(amount):
            unit = units.pop()
            if unit:  # the points of a lot are all alike: whichever of its tokens is gone comes back
                token = next(token for token in self.tokens if token.place == GONE and token.lot == unit.lot)
                token.place = FREE
                back.append(token)
            elif self.debt:
                self.debt -= 1
            else:  # its debt was repaid by a later credit, so it is a point again, in a lot of its own
                self.lots[self.next_version] = self.time, None
                new.append(Token(self.next_version))
        self.tokens += new
        self.spent -= amount
        repaid = amount - len(back) - len(new)
        return self.write(command.kind, back + new, original.reference, amount=amount, related=original.version, debt_change=-repaid)


class Model:
    """All accounts, and every answer ever given."""

    def __init__(self) -> None:
        self.accounts: dict[AccountName, ModelAccount] = {}
        self.answers: dict[Any, tuple[bytes, Line]] = {}

    def post(self, groups: Sequence[Group], now: datetime) -> list[list[Told]]:
        return [self._group(group, now) for group in groups]

    def _group(self, group: Group, now: datetime) -> list[Told]:
        before = deepcopy((self.accounts, self.answers)) if group.atomic else (self.accounts, self.answers)
        outcomes = [self.apply(command, now) for command in group.commands]
        if not group.atomic or all(isinstance(outcome, tuple) and outcome[2] is None for outcome in outcomes):
            return outcomes
        self.accounts, self.answers = before
        return [self._after_failure(command, outcome) for command, outcome in zip(group.commands, outcomes, strict=True)]

    def _after_failure(self, command: Command, outcome: Told) -> Told:
        succeeded = isinstance(outcome, tuple) and outcome[2] is None
        return "ABORTED" if succeeded and command.identity not in self.answers else outcome

    def apply(self, command: Command, now: datetime) -> Told:
        if command.identity in self.answers:
            fingerprint, line = self.answers[command.identity]
            return (line.version, True, line.refusal) if fingerprint == command.fingerprint else "KEY_REUSED"
        account = self.accounts.get(command.account)
        if account is None:
            if not isinstance(command, Credit):
                return "NO_ACCOUNT"
            account = ModelAccount(min_balance=0, opened_at=now)
        account.time = max([now, account.opened_at, *(line.created_at for line in account.history)])
        version = len(account.history)
        account.settle()
        if isinstance(command, SetMinBalance) and command.expected_version not in {None, version}:
            return "VERSION_MISMATCH"
        outcome = _apply(account, command)
        if isinstance(outcome, str):
            return outcome
        self.accounts[command.account] = account
        self.answers[command.identity] = command.fingerprint, outcome
        return outcome.version, False, outcome.refusal


def _apply(account: ModelAccount, command: Command) -> Line | str:
    rules: dict[type[Command], Callable[[Any], Line | str]] = {
        Credit: account.credit, Open: account.credit, Withdraw: account.withdraw, Reserve: account.reserve, Extend: account.on_hold,
        Capture: account.on_hold, Release: account.on_hold, Reverse: account.reverse, Settle: lambda _: "SETTLED",
        SetMinBalance: account.set_min_balance,
    }  # fmt: skip
    return rules[type(command)](command)
