"""The rules of the ledger: accounts, operations and commands, and `decide`, which is all of them at work.

Pure: no I/O, no clock, no SQL. The server runs `decide` on what it loaded under locks; property tests run it by the thousand.
All amounts are hundredths of a point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum
from uuid import UUID

from services.balance.domain.names import AccountName

BALANCE_MAX = 9_000_000_000_000_000
AMOUNT_MAX = 1_000_000_000_000


class Kind(IntEnum):
    """What an operation does. The numbers are stored and are those of the contract."""

    CREDIT = 1
    WITHDRAWAL = 2


class Book(IntEnum):
    """Between which books points move. The numbers are stored and are those of the contract."""

    CUSTOMER = 1
    GRANTED = 2
    REDEEMED = 3


class Refusal(IntEnum):
    """Why a command was refused for good. The numbers are stored and are those of the contract's ErrorReason."""

    INSUFFICIENT_POINTS = 4
    ORDER_ALREADY_PAID = 5
    BALANCE_LIMIT_EXCEEDED = 7


@dataclass(frozen=True, slots=True)
class Account:
    """An account as of its operation number `version`; `updated_at` is that operation's time."""

    name: AccountName
    version: int
    posted: int
    held: int
    pending: int
    debt: int
    lifetime_earned: int
    lifetime_spent: int
    created_at: datetime
    updated_at: datetime

    @property
    def available(self) -> int:
        return max(0, self.posted - self.held - self.pending)


@dataclass(frozen=True, slots=True)
class Command:
    """A wish to move points. (account, `actor`, `request_id`) is its identity, `fingerprint` its content."""

    kind: Kind
    account: AccountName
    amount: int
    reference: str
    actor: str
    request_id: UUID
    fingerprint: bytes

    @property
    def identity(self) -> tuple[AccountName, str, UUID]:
        return self.account, self.actor, self.request_id

    @property
    def opens_account(self) -> bool:
        return self.kind is Kind.CREDIT


@dataclass(frozen=True, slots=True)
class Operation:
    """What became of a command: a transfer of `amount` from `debit_book` to `credit_book`, or a refusal with amount 0.

    `related_version` is the earlier operation that a refusal points at.
    """

    account: AccountName
    version: int
    kind: Kind
    debit_book: Book
    credit_book: Book
    amount: int
    requested_amount: int
    posted_after: int
    held_after: int
    reference: str
    actor: str
    request_id: UUID
    fingerprint: bytes
    created_at: datetime
    refusal: Refusal | None = None
    available_at_refusal: int | None = None
    related_version: int | None = None

    @property
    def identity(self) -> tuple[AccountName, str, UUID]:
        return self.account, self.actor, self.request_id


@dataclass(frozen=True, slots=True)
class State:
    """What was loaded for a batch of commands, under locks, at `now`.

    `recorded` are the operations that bear the identity of one of the commands; `payments` the applied withdrawals that bear the
    (account, order number) of one, by that pair.
    """

    now: datetime
    accounts: Mapping[AccountName, Account]
    recorded: Mapping[tuple[AccountName, str, UUID], Operation] = field(default_factory=dict)
    payments: Mapping[tuple[AccountName, str], Operation] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recorded:
    """The command has an operation: made now, or earlier if `replayed`."""

    operation: Operation
    replayed: bool


@dataclass(frozen=True, slots=True)
class KeyReused:
    """The command's identity belongs to another content. Nothing is recorded."""


@dataclass(frozen=True, slots=True)
class NoAccount:
    """The command's account does not exist, so there is nowhere to record anything."""


Outcome = Recorded | KeyReused | NoAccount


@dataclass(frozen=True, slots=True)
class Decision:
    """An outcome for each command, in order, and what has to be stored: new operations and the accounts as they are after them."""

    outcomes: Sequence[Outcome]
    operations: Sequence[Operation]
    accounts: Sequence[Account]


def decide(commands: Iterable[Command], state: State) -> Decision:
    """Applies commands one after the other, in order; a command sees the effects of those before it.

    A repeat is answered from its operation, before anything else is looked at: it must not fail where the original succeeded.
    """
    batch = _Batch(state)
    outcomes = [batch.apply(command) for command in commands]
    return Decision(outcomes, batch.operations, [batch.accounts[name] for name in batch.changed])


class _Batch:
    """The state while a batch is being decided."""

    def __init__(self, state: State) -> None:
        self._now = state.now
        self._recorded = dict(state.recorded)
        self._payments = dict(state.payments)
        self.accounts = dict(state.accounts)
        self.changed: dict[AccountName, None] = {}
        self.operations: list[Operation] = []

    def apply(self, command: Command) -> Outcome:
        known = self._recorded.get(command.identity)
        if known is not None:
            return Recorded(known, replayed=True) if known.fingerprint == command.fingerprint else KeyReused()
        account = self.accounts.get(command.account)
        if account is None:
            return NoAccount()
        operation, changed = _RULES[command.kind](command, account, self._payments, self._time_for(account))
        self._record(operation, changed)
        return Recorded(operation, replayed=False)

    def _time_for(self, account: Account) -> datetime:
        return max(self._now, account.updated_at)  # a clock that was set back must not reorder a history

    def _record(self, operation: Operation, account: Account) -> None:
        self.operations.append(operation)
        self._recorded[operation.identity] = operation
        if operation.kind is Kind.WITHDRAWAL and operation.refusal is None:
            self._payments[operation.account, operation.reference] = operation
        self.accounts[account.name] = account
        self.changed[account.name] = None


def _credit(command: Command, account: Account, _payments: object, now: datetime) -> tuple[Operation, Account]:
    if account.posted + command.amount > BALANCE_MAX:
        return _refused(command, account, now, Refusal.BALANCE_LIMIT_EXCEEDED)
    posted, earned = account.posted + command.amount, account.lifetime_earned + command.amount
    return _applied(command, replace(account, posted=posted, lifetime_earned=earned), now)


def _withdraw(
    command: Command, account: Account, payments: Mapping[tuple[AccountName, str], Operation], now: datetime
) -> tuple[Operation, Account]:
    payment = payments.get((command.account, command.reference))
    if payment is not None:
        return _refused(command, account, now, Refusal.ORDER_ALREADY_PAID, payment.version)
    if account.available < command.amount:
        return _refused(command, account, now, Refusal.INSUFFICIENT_POINTS)
    posted, spent = account.posted - command.amount, account.lifetime_spent + command.amount
    return _applied(command, replace(account, posted=posted, lifetime_spent=spent), now)


_RULES = {Kind.CREDIT: _credit, Kind.WITHDRAWAL: _withdraw}
_BOOKS = {Kind.CREDIT: (Book.GRANTED, Book.CUSTOMER), Kind.WITHDRAWAL: (Book.CUSTOMER, Book.REDEEMED)}


def _applied(command: Command, account: Account, now: datetime) -> tuple[Operation, Account]:
    changed = replace(account, version=account.version + 1, updated_at=now)
    return _operation(command, changed, amount=command.amount), changed


def _refused(
    command: Command, account: Account, now: datetime, refusal: Refusal, related_version: int | None = None
) -> tuple[Operation, Account]:
    changed = replace(account, version=account.version + 1, updated_at=now)
    operation = _operation(command, changed, amount=0)
    return replace(operation, refusal=refusal, available_at_refusal=account.available, related_version=related_version), changed


def _operation(command: Command, account: Account, *, amount: int) -> Operation:
    debit, credit = _BOOKS[command.kind]
    return Operation(
        account=command.account,
        version=account.version,
        kind=command.kind,
        debit_book=debit,
        credit_book=credit,
        amount=amount,
        requested_amount=command.amount,
        posted_after=account.posted,
        held_after=account.held,
        reference=command.reference,
        actor=command.actor,
        request_id=command.request_id,
        fingerprint=command.fingerprint,
        created_at=account.updated_at,
    )
