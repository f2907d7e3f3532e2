"""The rules of the ledger at work: `decide`. Pure: no I/O, no clock, no SQL.

The server runs it on what it loaded under locks; property tests run it by the thousand against a model.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any

from services.balance.domain.commands import (
    Capture,
    Command,
    Credit,
    Extend,
    HoldCommand,
    Open,
    Release,
    Reserve,
    Reverse,
    SetMinBalance,
    Settle,
    Withdraw,
)
from services.balance.domain.journal import Journal, Loaded
from services.balance.domain.model import BALANCE_MAX, Account, Book, Hold, HoldState, Identity, Kind, Lot, LotUses, Operation, Refusal
from services.balance.domain.model import ShortfallPolicy as Policy
from services.balance.domain.names import AccountName


@dataclass(frozen=True, slots=True)
class State:
    """What was loaded for a batch, under locks, at `now`.

    `recorded`: operations that bear the identity of one of the commands. `payments`: applied withdrawals that bear the (account, order
    number) of one. `originals`: operations that are to be reversed, with what was asked back of them before. `opened`: those of
    `accounts` that were made for this batch, and are not there for a command before a credit opens them.
    """

    now: datetime
    accounts: Mapping[AccountName, Loaded]
    recorded: Mapping[Identity, Operation] = field(default_factory=dict)
    payments: Mapping[tuple[AccountName, str], Operation] = field(default_factory=dict)
    originals: Mapping[tuple[AccountName, int], tuple[Operation, int]] = field(default_factory=dict)
    opened: Collection[AccountName] = ()


@dataclass(frozen=True, slots=True)
class Recorded:
    """The command has an operation, applied or refused: made now, or earlier if `replayed`."""

    operation: Operation
    replayed: bool


class Unrecorded(Enum):
    """The command has no operation, and the state is as it was."""

    KEY_REUSED = "its identity belongs to another content"
    NO_ACCOUNT = "its account does not exist"
    NO_HOLD = "its hold does not exist"
    NO_OPERATION = "the operation that it is about does not exist"
    VERSION_MISMATCH = "the account is not at the version that it expects"
    LOT_TIMES = "its lot would expire before it was there"
    ABORTED = "another command of its atomic group was refused"
    SETTLED = "what was due has been written down"


Outcome = Recorded | Unrecorded


@dataclass(frozen=True, slots=True)
class Group:
    """Commands that one caller sent together: each for itself, or `atomic`, all or none."""

    commands: Sequence[Command]
    atomic: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcomes of each group's commands, in order, and what has to be stored."""

    outcomes: Sequence[Sequence[Outcome]]
    operations: Sequence[Operation]
    accounts: Sequence[Account]
    lots: Sequence[tuple[AccountName, Lot]]
    holds: Sequence[tuple[AccountName, Hold]]


def decide(groups: Sequence[Group], state: State) -> Decision:
    """Applies commands one after the other, in order; a command sees the effects of those before it.

    A repeat is answered from its operation, before anything else is looked at: it must not fail where the original succeeded.
    Raises LotsTruncated if more lots must be loaded.
    """
    batch = _Batch(state)
    outcomes = [batch.apply_group(group) for group in groups]
    changed = [journal for journal in batch.journals.values() if journal.operations]
    return Decision(
        outcomes,
        [operation for journal in changed for operation in journal.operations],
        [journal.after() for journal in changed],
        [(journal.name, journal.lots[lot_id]) for journal in changed for lot_id in sorted(journal.changed_lots)],
        [(journal.name, journal.holds[hold_id]) for journal in changed for hold_id in sorted(journal.changed_holds)],
    )


class _Batch:
    """The state while a batch is being decided."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.recorded = dict(state.recorded)
        self.payments = dict(state.payments)
        self.originals = dict(state.originals)
        self.journals: dict[AccountName, Journal] = {}

    def apply_group(self, group: Group) -> Sequence[Outcome]:
        if not group.atomic:
            return [self.apply(command) for command in group.commands]
        before = self.recorded.copy(), self.payments.copy(), self.originals.copy(), {name: j.copy() for name, j in self.journals.items()}
        outcomes = [self.apply(command) for command in group.commands]
        if all(_succeeded(outcome) for outcome in outcomes):
            return outcomes
        self.recorded, self.payments, self.originals, self.journals = before
        return [Unrecorded.ABORTED if self._was_undone(outcome) else outcome for outcome in outcomes]

    def _was_undone(self, outcome: Outcome) -> bool:
        """Tells whether a group that failed took the outcome with it; what a repeat was answered with stands."""
        return _succeeded(outcome) and isinstance(outcome, Recorded) and outcome.operation.identity not in self.recorded

    def apply(self, command: Command) -> Outcome:
        identity = command.identity
        known = self.recorded.get(identity)
        if known is not None:
            return Recorded(known, replayed=True) if known.fingerprint == command.fingerprint else Unrecorded.KEY_REUSED
        journal = self._journal(command.account)
        if journal is None or not (command.opens_account or self._is_open(journal)):
            return Unrecorded.NO_ACCOUNT
        version = journal.version
        journal.settle()
        if isinstance(command, SetMinBalance) and command.expected_version not in (None, version):
            return Unrecorded.VERSION_MISMATCH
        outcome = _RULES[type(command)](self, command, journal)
        if isinstance(outcome, Unrecorded):
            return outcome
        self.recorded[identity] = outcome
        return Recorded(outcome, replayed=False)

    def _journal(self, name: AccountName) -> Journal | None:
        journal = self.journals.get(name)
        if journal is None and name in self._state.accounts:
            journal = self.journals[name] = Journal(self._state.accounts[name], self._state.now)
        return journal

    def _is_open(self, journal: Journal) -> bool:
        return journal.version > 0 or journal.name not in self._state.opened


def _succeeded(outcome: Outcome) -> bool:
    return isinstance(outcome, Recorded) and outcome.operation.refusal is None


def _credit(_batch: _Batch, command: Credit, journal: Journal) -> Operation | Unrecorded:
    if isinstance(command, Open) and journal.version > 0:
        return journal.refuse(command, Refusal.ACCOUNT_NOT_EMPTY, command.amount, command.reference)
    available_at = max(journal.now, command.available_at or journal.now)
    if command.expires_at is not None and command.expires_at <= available_at:
        return Unrecorded.LOT_TIMES
    if journal.posted + command.amount > BALANCE_MAX:
        return journal.refuse(command, Refusal.BALANCE_LIMIT_EXCEEDED, command.amount, command.reference)
    repaid = min(journal.debt, command.amount)
    kept = command.amount - repaid
    journal.debt -= repaid
    journal.posted += command.amount
    journal.earned += command.amount
    lot = Lot(journal.version + 1, command.amount, kept, 0, available_at, command.expires_at)
    journal.put_lot(lot)
    return journal.write(command, command.amount, command.reference, lots=((lot.id, kept),) if kept else (), debt_change=-repaid)


def _withdraw(batch: _Batch, command: Withdraw, journal: Journal) -> Operation:
    payment = batch.payments.get((command.account, command.reference))
    if payment is not None:
        return journal.refuse(command, Refusal.ORDER_ALREADY_PAID, command.amount, command.reference, related=payment.version)
    least = journal.min_balance
    if not journal.can_spend(command.amount, least=least):
        return _insufficient(command, journal, least)
    uses, overdrawn = journal.take(command.amount)
    journal.debt += overdrawn
    journal.posted -= command.amount
    journal.spent += command.amount
    operation = journal.write(command, command.amount, command.reference, lots=uses, debt_change=overdrawn)
    batch.payments[command.account, command.reference] = operation
    return operation


def _insufficient(command: Withdraw | Reserve, journal: Journal, least: int) -> Operation:
    available = max(0, journal.spendable() - least)
    return journal.refuse(command, Refusal.INSUFFICIENT_POINTS, command.amount, command.reference, available=available)


def _reserve(_batch: _Batch, command: Reserve, journal: Journal) -> Operation:
    # An overdraft can be spent but not set aside: a hold is made of points that exist.
    least = max(0, journal.min_balance)
    if not journal.can_spend(command.amount, least=least):
        return _insufficient(command, journal, least)
    uses = journal.set_aside(command.amount)
    journal.held += command.amount
    expires_at = journal.now + command.ttl if command.ttl is not None else None
    journal.put_hold(Hold(journal.version + 1, HoldState.OPEN, command.amount, command.amount, 0, command.reference, expires_at, uses))
    return journal.write(command, command.amount, command.reference, lots=uses)


def _on_hold(rule: Callable[[Any, Journal, Hold], Operation]) -> Callable[[_Batch, Any, Journal], Operation | Unrecorded]:
    """Makes a rule about an open hold answer for holds that are not."""

    def apply(_batch: _Batch, command: HoldCommand, journal: Journal) -> Operation | Unrecorded:
        hold = journal.holds.get(command.hold_id)
        if hold is None:
            return Unrecorded.NO_HOLD
        if hold.state is HoldState.OPEN:
            return rule(command, journal, hold)
        refusal = Refusal.HOLD_EXPIRED if hold.state is HoldState.EXPIRED else Refusal.HOLD_RESOLVED
        return journal.refuse(command, refusal, getattr(command, "amount", None) or 0, hold.reference, related=hold.id)

    return apply


def _extend(command: Extend, journal: Journal, hold: Hold) -> Operation:
    journal.put_hold(replace(hold, expires_at=journal.now + command.ttl if command.ttl is not None else None))
    return journal.write(command, 0, hold.reference, related=hold.id)


def _capture(command: Capture, journal: Journal, hold: Hold) -> Operation:
    amount = hold.remaining if command.amount is None else command.amount
    if amount > hold.remaining:
        return journal.refuse(
            command, Refusal.CAPTURE_EXCEEDS_HOLD, amount, hold.reference, available=hold.remaining, related=hold.id
        )  # fmt: skip
    uses, rest = _split(hold.lots, amount)
    journal.change_lots(uses, remaining=-1, held=-1)
    journal.posted -= amount
    journal.held -= amount
    journal.spent += amount
    left = replace(hold, remaining=hold.remaining - amount, captured=hold.captured + amount, lots=rest)
    journal.put_hold(left if left.remaining else replace(left, state=HoldState.RESOLVED))
    operation = journal.write(command, amount, hold.reference, lots=uses, related=hold.id)
    if left.remaining and not command.keep_remainder:
        journal.write_own_release(left)
    return operation


def _split(uses: LotUses, amount: int) -> tuple[LotUses, LotUses]:
    """Splits uses after `amount`: the first part in order, and the rest."""
    first, rest = [], []
    for lot_id, used in uses:
        taken = min(used, amount)
        amount -= taken
        if taken:
            first.append((lot_id, taken))
        if used > taken:
            rest.append((lot_id, used - taken))
    return tuple(first), tuple(rest)


def _release(command: Release, journal: Journal, hold: Hold) -> Operation:
    uses = journal.free(hold, HoldState.RESOLVED)
    operation = journal.write(command, hold.remaining, hold.reference, lots=uses, related=hold.id)
    journal.expire_lots()
    return operation


def _reverse(batch: _Batch, command: Reverse, journal: Journal) -> Operation | Unrecorded:
    original, before = batch.originals.get((command.account, command.version)) or (journal.written(command.version), 0)
    if original is None:
        return Unrecorded.NO_OPERATION
    undo = _UNDO.get(original.kind)
    if undo is None or original.refusal is not None:
        return journal.refuse(command, Refusal.NOT_REVERSIBLE, command.amount or 0, original.reference, related=original.version)
    left = original.amount - before
    amount = left if command.amount is None else command.amount
    if not 0 < amount <= left:
        return journal.refuse(
            command, Refusal.REVERSAL_EXCEEDS_ORIGINAL, amount, original.reference, available=left, related=original.version
        )  # fmt: skip
    operation = undo(command, journal, original, amount, before)
    if operation.refusal is None:
        batch.originals[command.account, command.version] = original, before + amount
    journal.expire_lots()
    return operation


def _take_back(command: Reverse, journal: Journal, original: Operation, amount: int, _before: int) -> Operation:
    """Undoes a credit: from its own lot first, then as spending would; the rest by the command's policy."""
    own = journal.lots.get(original.version)
    own_pending = own.free if own and not own.is_spendable(journal.now) else 0
    there = max(0, journal.spendable() + own_pending)  # less debt: what is owed is not there to be taken
    if there < amount and command.policy is not Policy.ALLOW_NEGATIVE:
        journal.need_all_lots()
        if there == 0 or command.policy is Policy.REJECT:
            return _spent(command, journal, original, amount, there)
    taken = amount if command.policy is Policy.ALLOW_NEGATIVE else min(amount, there)
    uses, debt = journal.take(taken, first=[original.version])
    journal.debt += debt
    journal.posted -= taken
    journal.earned -= taken
    return journal.write(
        command, taken, original.reference, requested=amount, books=(original.credit_book, original.debit_book),
        related=original.version, lots=uses, debt_change=debt,
    )  # fmt: skip


def _spent(command: Reverse, journal: Journal, original: Operation, amount: int, available: int) -> Operation:
    return journal.refuse(
        command, Refusal.POINTS_ALREADY_SPENT, amount, original.reference, available=available, related=original.version
    )  # fmt: skip


def _give_back(command: Reverse, journal: Journal, original: Operation, amount: int, before: int) -> Operation:
    """Undoes spending, last taken first: overdraft is repaid, lots get their points back, and with them their expiry."""
    _, rest = _split(((0, original.debt_change), *reversed(original.lots)), before)
    parts, _ = _split(rest, amount)
    repaid = min(journal.debt, sum(part for lot_id, part in parts if lot_id == 0))
    uses = tuple((lot_id, part) for lot_id, part in parts if lot_id)
    homeless = amount - repaid - sum(part for _, part in uses)
    journal.change_lots(uses, remaining=+1)
    if homeless:  # the overdraft was repaid by later credits: these points have no lot to go back to
        lot = Lot(journal.version + 1, homeless, homeless, 0, journal.now, None)
        journal.put_lot(lot)
        uses = (*uses, (lot.id, homeless))
    journal.debt -= repaid
    journal.posted += amount
    journal.spent -= amount
    return journal.write(
        command, amount, original.reference, books=(Book.REDEEMED, Book.CUSTOMER), related=original.version, lots=uses, debt_change=-repaid
    )  # fmt: skip


def _set_min_balance(_batch: _Batch, command: SetMinBalance, journal: Journal) -> Operation:
    journal.min_balance = command.min_balance
    return journal.write(command, 0, "", requested=command.min_balance)


def _settle(_batch: _Batch, _command: Settle, _journal: Journal) -> Unrecorded:
    return Unrecorded.SETTLED


_UNDO: dict[Kind, Callable[[Reverse, Journal, Operation, int, int], Operation]] = {
    Kind.CREDIT: _take_back,
    Kind.OPENING: _take_back,
    Kind.WITHDRAWAL: _give_back,
    Kind.CAPTURE: _give_back,
}
_RULES: dict[type[Command], Callable[[_Batch, Any, Journal], Operation | Unrecorded]] = {
    Credit: _credit,
    Open: _credit,
    Withdraw: _withdraw,
    Reserve: _reserve,
    Extend: _on_hold(_extend),
    Capture: _on_hold(_capture),
    Release: _on_hold(_release),
    Reverse: _reverse,
    SetMinBalance: _set_min_balance,
    Settle: _settle,
}
