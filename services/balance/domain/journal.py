"""One account while a batch is being decided: its numbers, lots and holds, and the operations that are written on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID, uuid5

from services.balance.domain.commands import Command
from services.balance.domain.model import BOOKS, Account, Book, Hold, HoldState, Kind, Lot, LotUses, Operation, Refusal
from services.balance.domain.names import AccountName

SYSTEM = "services/balance"
_NAMESPACE = UUID("0d0f8f0e-3b5c-5c39-9c43-64f9b9a3c1de")
_NEVER = datetime.max.replace(tzinfo=UTC)


class LotsTruncated(Exception):
    """The lots that were loaded don't suffice to decide, and there are more. Load all of them and decide again."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded of an account: its lots soonest to expire first, the holds that are named or due.

    `lots_complete` is false if there are further open lots that expire later. `other_lots` were loaded because an operation to be
    reversed used them, out of turn: closed ones, and open ones that others may come before.
    """

    account: Account
    lots: Sequence[Lot] = ()
    holds: Sequence[Hold] = ()
    lots_complete: bool = True
    other_lots: Sequence[Lot] = ()


class Journal:
    """Mutable, for as long as a batch is decided. Every method leaves the account's invariants true (see model.py)."""

    def __init__(self, loaded: Loaded, now: datetime) -> None:
        account = loaded.account
        self.account = account
        self.now = max(now, account.updated_at)  # a clock that was set back must not reorder a history
        self.version = account.version
        self.posted, self.held, self.debt = account.posted, account.held, account.debt
        self.earned, self.spent = account.lifetime_earned, account.lifetime_spent
        self.min_balance = account.min_balance
        self.lots = {lot.id: lot for lot in (*loaded.lots, *loaded.other_lots)}
        self.holds = {hold.id: hold for hold in loaded.holds}
        self._last_loaded = None if loaded.lots_complete else loaded.lots[-1]
        self.changed_lots: set[int] = set()
        self.changed_holds: set[int] = set()
        self.operations: list[Operation] = []

    def copy(self) -> Journal:
        """Returns a copy to go back to."""
        twin = Journal.__new__(Journal)
        for name, value in vars(self).items():
            setattr(twin, name, value.copy() if isinstance(value, dict | set | list) else value)
        return twin

    @property
    def name(self) -> AccountName:
        return self.account.name

    def after(self) -> Account:
        """Returns the account as the operations written so far leave it."""
        return Account(
            self.name, self.version, self.posted, self.held, self.debt, self.earned, self.spent, self.min_balance,
            self.account.created_at, self.now,
        )  # fmt: skip

    def spendable(self) -> int:
        """Returns what can be spent now less debt; below zero while debt is larger."""
        return sum([lot.remaining - lot.held for lot in self.lots.values() if lot.is_spendable(self.now)]) - self.debt

    def can_spend(self, amount: int, *, least: int) -> bool:
        """Tells whether `amount` can go and leave `least`. Raises LotsTruncated."""
        enough = self.spendable() - amount >= least
        if not enough:
            self.need_all_lots()
        return enough

    def written(self, version: int) -> Operation | None:
        """Returns the operation of this version if the batch wrote it."""
        place = version - self.account.version - 1
        return self.operations[place] if 0 <= place < len(self.operations) else None

    def need_all_lots(self) -> None:
        """Raises LotsTruncated unless every open lot was loaded."""
        if self._last_loaded is not None:
            raise LotsTruncated

    # --- lots

    def take(self, amount: int, first: Iterable[int] = ()) -> tuple[LotUses, int]:
        """Takes up to `amount` out of lots: those of `first` in that order, then what can be spent, soonest to expire first.

        Returns what was taken and how much was lacking.
        """
        return self._walk(amount, first, lambda lot, taken: lot.moved(remaining=-taken))

    def set_aside(self, amount: int) -> LotUses:
        """Sets `amount` of spendable lots aside; the caller has made sure that it is there."""
        uses, lacking = self._walk(amount, (), lambda lot, taken: lot.moved(held=taken))
        assert lacking == 0
        return uses

    def _walk(self, amount: int, first: Iterable[int], change: Callable[[Lot, int], Lot]) -> tuple[LotUses, int]:
        uses = []
        for lot in self._in_spending_order(first):
            taken = min(amount, lot.free)
            if taken:
                self.put_lot(change(lot, taken))
                uses.append((lot.id, taken))
                amount -= taken
            if not amount:
                break
        if amount:
            self.need_all_lots()
        return tuple(uses), amount

    def _in_spending_order(self, first: Iterable[int]) -> Iterator[Lot]:
        chosen = [self.lots[lot_id] for lot_id in first if lot_id in self.lots]
        rest = [lot for lot in self.lots.values() if lot.is_spendable(self.now) and lot not in chosen]
        yield from chosen
        for lot in sorted(rest, key=_spending_key):
            if self._last_loaded is not None and _spending_key(lot) > _spending_key(self._last_loaded):
                raise LotsTruncated  # lots that were not loaded may come before this one, which is new or was loaded out of turn
            yield lot

    def put_lot(self, lot: Lot) -> None:
        """Adds or replaces a lot."""
        self.lots[lot.id] = lot
        self.changed_lots.add(lot.id)

    def change_lots(self, uses: LotUses, *, remaining: int = 0, held: int = 0) -> None:
        """Adds `remaining` and `held` times the used amount to each lot."""
        for lot_id, amount in uses:
            lot = self.lots.get(lot_id)
            if lot is None:
                raise LotsTruncated
            self.put_lot(lot.moved(remaining=remaining * amount, held=held * amount))

    # --- holds

    def put_hold(self, hold: Hold) -> None:
        """Adds or replaces a hold."""
        self.holds[hold.id] = hold
        self.changed_holds.add(hold.id)

    def free(self, hold: Hold, state: HoldState) -> LotUses:
        """Ends a hold, freeing what is left of it; returns what that was."""
        self.change_lots(hold.lots, held=-1)
        self.held -= hold.remaining
        self.put_hold(replace(hold, state=state, remaining=0, lots=()))
        return hold.lots

    def write_own_release(self, hold: Hold) -> None:
        """Frees what a capture leaves of a hold, as an operation of its own."""
        uses = self.free(hold, HoldState.RESOLVED)
        self.write_own(Kind.RELEASE, hold.remaining, hold.reference, uses, hold.id)
        self.expire_lots()

    # --- what comes due

    def settle(self) -> None:
        """Writes down what has run out by now: holds, and then the lots that nothing holds any more."""
        for hold in sorted([hold for hold in self.holds.values() if hold.is_due(self.now)], key=_due_key):
            uses = self.free(hold, HoldState.EXPIRED)
            self.write_own(Kind.HOLD_EXPIRY, hold.remaining, hold.reference, uses, hold.id)
        self.expire_lots()

    def expire_lots(self) -> None:
        """Expires what is free in lots whose time has passed: at once for points that were set aside or spent until now."""
        if self._last_loaded is not None and self._last_loaded.is_expired(self.now):
            raise LotsTruncated  # more may have expired
        for lot in sorted([lot for lot in self.lots.values() if lot.is_expired(self.now) and lot.free > 0], key=_spending_key):
            self.put_lot(lot.moved(remaining=-lot.free))
            self.posted -= lot.free
            self.write_own(Kind.LOT_EXPIRY, lot.free, "", ((lot.id, lot.free),), lot.id)

    # --- writing

    def write(
        self,
        command: Command,
        amount: int,
        reference: str,
        *,
        requested: int | None = None,
        books: tuple[Book, Book] | None = None,
        related: int | None = None,
        lots: LotUses = (),
        debt_change: int = 0,
    ) -> Operation:
        """Writes the operation of a command; the account's numbers have been changed before."""
        return self._append(
            command.kind, books or BOOKS[command.kind], amount, amount if requested is None else requested, reference,
            command.actor, command.request_id, command.fingerprint, related=related, lots=lots, debt_change=debt_change,
        )  # fmt: skip

    def refuse(
        self,
        command: Command,
        refusal: Refusal,
        requested: int,
        reference: str,
        *,
        available: int | None = None,
        related: int | None = None,
    ) -> Operation:
        """Writes a refusal, which changes nothing but the version."""
        books = BOOKS.get(command.kind, (Book.CUSTOMER, Book.GRANTED))
        return self._append(
            command.kind, books, 0, requested, reference, command.actor, command.request_id, command.fingerprint,
            refusal=refusal, available=available, related=related,
        )  # fmt: skip

    def write_own(self, kind: Kind, amount: int, reference: str, lots: LotUses, related: int) -> None:
        """Writes an operation that nobody asked for, under an id derived from its place."""
        request_id = uuid5(_NAMESPACE, f"{self.name}/{self.version + 1}")
        self._append(kind, BOOKS[kind], amount, amount, reference, SYSTEM, request_id, b"", lots=lots, related=related)

    def _append(
        self, kind: Kind, books: tuple[Book, Book], amount: int, requested: int, reference: str, actor: str, request_id: UUID,
        fingerprint: bytes, *, refusal: Refusal | None = None, available: int | None = None, related: int | None = None,
        lots: LotUses = (), debt_change: int = 0,
    ) -> Operation:  # fmt: skip
        self.version += 1
        operation = Operation(
            self.name, self.version, kind, books[0], books[1], amount, requested, self.posted, self.held, reference, actor, request_id,
            fingerprint, self.now, refusal, available, related, lots, debt_change,
        )  # fmt: skip
        self.operations.append(operation)
        return operation


def _spending_key(lot: Lot) -> tuple[bool, datetime, int]:
    return lot.expires_at is None, lot.expires_at or _NEVER, lot.id


def _due_key(hold: Hold) -> tuple[datetime, int]:
    return hold.expires_at or _NEVER, hold.id
