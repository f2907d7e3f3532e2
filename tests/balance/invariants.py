"""What must hold of an account at any moment, worked out again from everything that is stored of it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from services.balance.domain.model import Account, Book, Hold, HoldState, Kind, Lot, Operation, Refusal

SPENDING = {Kind.WITHDRAWAL, Kind.RESERVATION}
STILL = {Kind.EXTENSION, Kind.MIN_BALANCE}  # move nothing
EARNING = {Kind.CREDIT, Kind.OPENING}
NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Stored:
    """An account with all that was ever stored of it, operations oldest first."""

    account: Account
    operations: Sequence[Operation]
    lots: Sequence[Lot]
    holds: Sequence[Hold]

    @property
    def applied(self) -> list[Operation]:
        return [operation for operation in self.operations if operation.refusal is None]


def check_account(stored: Stored) -> None:
    """Asserts every rule; says which account it was."""
    try:
        for rule in (_history, _requests, _books, _refusals, _lots, _lot_movements, _spending, _holds, _reversals, _lifetime):
            rule(stored)
    except AssertionError as broken:
        broken.add_note(f"of {stored.account.name}:\n" + "\n".join(map(str, stored.operations)))
        raise


def _history(stored: Stored) -> None:
    assert [operation.version for operation in stored.operations] == list(range(1, stored.account.version + 1))
    times = [operation.created_at for operation in stored.operations]
    assert times == sorted(times)


def _requests(stored: Stored) -> None:
    """One effect for each request, and one payment for each order."""
    assert not _repeated(operation.identity for operation in stored.operations)
    assert not _repeated(operation.reference for operation in stored.applied if operation.kind is Kind.WITHDRAWAL)


def _repeated(things: object) -> list[object]:
    return [thing for thing, times in Counter(things).items() if times > 1]  # type: ignore[call-overload]


def _books(stored: Stored) -> None:
    """Every operation moves points between two books; the account's numbers are sums of its two, after each operation."""
    books: Counter[Book] = Counter()
    for operation in stored.operations:
        assert operation.debit_book is not operation.credit_book
        books[operation.debit_book] -= operation.amount
        books[operation.credit_book] += operation.amount
        assert operation.posted_after == books[Book.CUSTOMER] + books[Book.HELD], operation
        assert operation.held_after == books[Book.HELD] >= 0, operation
    assert sum(books.values()) == 0
    assert (stored.account.posted, stored.account.held) == (books[Book.CUSTOMER] + books[Book.HELD], books[Book.HELD])
    assert stored.account.lifetime_earned == -books[Book.GRANTED] - books[Book.OPENING]
    assert stored.account.lifetime_spent == books[Book.REDEEMED]


def _refusals(stored: Stored) -> None:
    for operation in stored.operations:
        moved = operation.amount, operation.lots, operation.debt_change
        if operation.refusal is not None:
            assert moved == (0, (), 0), operation
        elif operation.kind not in STILL:
            assert operation.amount > 0, operation
        else:
            assert moved == (0, (), 0), operation
        if operation.refusal is Refusal.INSUFFICIENT_POINTS:
            assert operation.available_at_refusal is not None
            assert 0 <= operation.available_at_refusal < operation.requested_amount


def _lots(stored: Stored) -> None:
    account = stored.account
    assert account.debt >= 0
    assert account.posted == sum(lot.remaining for lot in stored.lots) - account.debt
    assert account.held == sum(lot.held for lot in stored.lots)
    assert account.held == sum(hold.remaining for hold in stored.holds if hold.state is HoldState.OPEN)
    held: Counter[int] = Counter()
    for hold in stored.holds:
        for lot_id, amount in hold.lots:
            held[lot_id] += amount
    for lot in stored.lots:
        assert 0 <= lot.held <= lot.remaining <= lot.amount
        assert lot.held == held[lot.id]
        assert lot.expires_at is None or lot.available_at < lot.expires_at


def _lot_movements(stored: Stored) -> None:
    """Every hundredth that moved came from a lot, went to one, or made or repaid debt."""
    remaining: Counter[int] = Counter()
    debt = 0
    for operation in stored.applied:
        assert all(amount > 0 for _, amount in operation.lots)
        if operation.kind in STILL:
            continue
        inward = operation.credit_book is Book.CUSTOMER
        assert operation.amount == sum(amount for _, amount in operation.lots) + (
            -operation.debt_change if inward else operation.debt_change
        )
        debt += operation.debt_change
        if operation.kind in {Kind.RESERVATION, Kind.RELEASE, Kind.HOLD_EXPIRY}:
            continue
        for lot_id, amount in operation.lots:
            remaining[lot_id] += amount if inward else -amount
            assert remaining[lot_id] >= 0, operation
    assert {lot.id: lot.remaining for lot in stored.lots if lot.remaining} == dict(+remaining)
    assert stored.account.debt == debt


def _spending(stored: Stored) -> None:
    """Nothing is spent before it is available, or after it expired, or before what expires sooner; and only that expires which has to."""
    lots = {lot.id: lot for lot in stored.lots}
    for operation in stored.applied:
        used = [lots[lot_id] for lot_id, _ in operation.lots]
        if operation.kind in SPENDING:
            assert all(lot.available_at <= operation.created_at < (lot.expires_at or NEVER) for lot in used), operation
            assert used == sorted(used, key=lambda lot: (lot.expires_at or NEVER, lot.id)), operation
        if operation.kind is Kind.LOT_EXPIRY:
            assert all((lot.expires_at or NEVER) <= operation.created_at for lot in used), operation


def _holds(stored: Stored) -> None:
    """A hold is resolved once, and what was captured and released of it is what was set aside."""
    about: dict[int | None, list[Operation]] = defaultdict(list)
    for operation in stored.applied:
        if operation.kind in {Kind.CAPTURE, Kind.RELEASE, Kind.HOLD_EXPIRY, Kind.EXTENSION}:
            about[operation.related_version].append(operation)
    assert {hold.id for hold in stored.holds} == {made.version for made in stored.applied if made.kind is Kind.RESERVATION}
    for hold in stored.holds:
        captured = sum(operation.amount for operation in about[hold.id] if operation.kind is Kind.CAPTURE)
        ends = [operation for operation in about[hold.id] if operation.kind in {Kind.RELEASE, Kind.HOLD_EXPIRY}]
        assert hold.captured == captured
        assert hold.amount == captured + hold.remaining + sum(operation.amount for operation in ends)
        assert sum(amount for _, amount in hold.lots) == hold.remaining
        assert (hold.state is HoldState.OPEN) == (hold.remaining > 0)
        assert (hold.state is HoldState.EXPIRED) == any(operation.kind is Kind.HOLD_EXPIRY for operation in ends)
        assert ends == about[hold.id][-1:] if ends else True, "it ended, and then something else happened to it"


def _reversals(stored: Stored) -> None:
    by_version = {operation.version: operation for operation in stored.operations}
    asked: Counter[int] = Counter()
    for operation in stored.applied:
        if operation.kind is Kind.REVERSAL:
            assert operation.related_version is not None
            original = by_version[operation.related_version]
            asked[original.version] += operation.requested_amount
            assert operation.amount <= operation.requested_amount
            assert asked[original.version] <= original.amount, operation
            if original.kind not in EARNING:
                _check_given_back(stored, original)


def _check_given_back(stored: Stored, original: Operation) -> None:
    """Spent points go back to the lots they came from; only what had made debt may become a new lot."""
    given: Counter[int] = Counter()
    for operation in stored.applied:
        if operation.kind is Kind.REVERSAL and operation.related_version == original.version:
            given.update(dict(operation.lots))
    taken = Counter(dict(original.lots))
    new = {operation.version for operation in stored.applied if operation.kind is Kind.REVERSAL}
    assert all(amount <= taken[lot_id] for lot_id, amount in given.items() if lot_id not in new or lot_id in taken)
    assert sum(amount for lot_id, amount in given.items() if lot_id not in taken) <= original.debt_change


def _lifetime(stored: Stored) -> None:
    expired = sum(operation.amount for operation in stored.applied if operation.kind is Kind.LOT_EXPIRY)
    account = stored.account
    assert account.posted == account.lifetime_earned - account.lifetime_spent - expired
