"""What the ledger is made of: accounts, lots, holds and operations. All amounts are hundredths of a point.

What always holds for an account at each of its versions:

    posted = sum of its lots' remaining - debt        held = sum of its lots' held = sum of its open holds' remaining
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from uuid import UUID

from services.balance.domain.names import AccountName

BALANCE_MAX = 9_000_000_000_000_000
AMOUNT_MAX = 1_000_000_000_000

# Points of lots that an operation moved: (the lot's id, how many), in the order in which they were taken or put back.
LotUses = tuple[tuple[int, int], ...]


class Kind(IntEnum):
    """What an operation does. The numbers are stored and are those of the contract."""

    CREDIT = 1
    WITHDRAWAL = 2
    RESERVATION = 3
    CAPTURE = 4
    RELEASE = 5
    EXTENSION = 6
    HOLD_EXPIRY = 7
    LOT_EXPIRY = 8
    REVERSAL = 9
    OPENING = 10
    MIN_BALANCE = 11


class Book(IntEnum):
    """Between which books points move. The numbers are stored and are those of the contract."""

    CUSTOMER = 1
    GRANTED = 2
    REDEEMED = 3
    HELD = 4
    EXPIRED = 5
    OPENING = 6


BOOKS: dict[Kind, tuple[Book, Book]] = {
    Kind.CREDIT: (Book.GRANTED, Book.CUSTOMER),
    Kind.WITHDRAWAL: (Book.CUSTOMER, Book.REDEEMED),
    Kind.RESERVATION: (Book.CUSTOMER, Book.HELD),
    Kind.CAPTURE: (Book.HELD, Book.REDEEMED),
    Kind.RELEASE: (Book.HELD, Book.CUSTOMER),
    Kind.EXTENSION: (Book.CUSTOMER, Book.HELD),
    Kind.HOLD_EXPIRY: (Book.HELD, Book.CUSTOMER),
    Kind.LOT_EXPIRY: (Book.CUSTOMER, Book.EXPIRED),
    Kind.OPENING: (Book.OPENING, Book.CUSTOMER),
    Kind.MIN_BALANCE: (Book.CUSTOMER, Book.GRANTED),
}
"""Debit and credit book of each kind; a reversal's depend on what it undoes."""


class Refusal(IntEnum):
    """Why a command was refused for good. The numbers are stored and are those of the contract's ErrorReason."""

    INSUFFICIENT_POINTS = 4
    ORDER_ALREADY_PAID = 5
    BALANCE_LIMIT_EXCEEDED = 7
    HOLD_EXPIRED = 9
    HOLD_RESOLVED = 10
    CAPTURE_EXCEEDS_HOLD = 11
    NOT_REVERSIBLE = 12
    REVERSAL_EXCEEDS_ORIGINAL = 13
    POINTS_ALREADY_SPENT = 14
    ACCOUNT_NOT_EMPTY = 19


class ShortfallPolicy(IntEnum):
    """What happens when a credit is taken back and the points are spent. The numbers are those of the contract."""

    REJECT = 1
    CLAMP = 2
    ALLOW_NEGATIVE = 3


@dataclass(frozen=True, slots=True)
class Account:
    """An account as of its operation number `version`; `updated_at` is that operation's time."""

    name: AccountName
    version: int
    posted: int
    held: int
    debt: int
    lifetime_earned: int
    lifetime_spent: int
    min_balance: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Lot:
    """The points of one credit. `id` is the credit's version; `held` is the part of `remaining` that holds have set aside."""

    id: int
    amount: int
    remaining: int
    held: int
    available_at: datetime
    expires_at: datetime | None

    @property
    def free(self) -> int:
        return self.remaining - self.held

    def moved(self, *, remaining: int = 0, held: int = 0) -> Lot:
        """Returns the lot with so much more remaining, and so much more of it held."""
        return Lot(self.id, self.amount, self.remaining + remaining, self.held + held, self.available_at, self.expires_at)

    def is_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now

    def is_spendable(self, now: datetime) -> bool:
        return self.remaining > self.held and self.available_at <= now and not self.is_expired(now)


class HoldState(IntEnum):
    """How far a hold has come. The numbers are stored and are those of the contract."""

    OPEN = 1
    RESOLVED = 2
    EXPIRED = 3


@dataclass(frozen=True, slots=True)
class Hold:
    """Points set aside. `id` is the reservation's version; `lots` tells from which lots what is still set aside, in spending order."""

    id: int
    state: HoldState
    amount: int
    remaining: int
    captured: int
    reference: str
    expires_at: datetime | None
    lots: LotUses

    def is_due(self, now: datetime) -> bool:
        return self.state is HoldState.OPEN and self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class Operation:
    """What became of a command: a transfer of `amount` from `debit_book` to `credit_book`, or a refusal with amount 0.

    `related_version` is the operation that this one undoes, captures, releases, expires or, refused, points at.
    `available_at_refusal` is what there was when too much was asked for. `debt_change` is the part of the amount that made debt, or,
    below zero, repaid it; the rest is in `lots`.
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
    lots: LotUses = ()
    debt_change: int = 0

    @property
    def identity(self) -> Identity:
        return self.account, self.actor, self.request_id


Identity = tuple[AccountName, str, UUID]


def spendable(lots: Sequence[Lot], now: datetime) -> int:
    """Returns what can be spent of these lots now."""
    return sum(lot.free for lot in lots if lot.is_spendable(now))
