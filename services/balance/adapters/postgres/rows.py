"""Rows as domain objects, and the columns in the order that they are read and written in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any
from uuid import UUID

from services.balance.domain.journal import Loaded
from services.balance.domain.model import Account, Book, Hold, HoldState, Kind, Lot, LotUses, Operation, Refusal
from services.balance.domain.names import AccountName

ACCOUNT_COLUMNS = "version, posted, held, debt, lifetime_earned, lifetime_spent, min_balance, created_at, updated_at"
LOT_COLUMNS = "lot_id, amount, remaining, held, available_at, expires_at"
HOLD_COLUMNS = "hold_id, state, amount, remaining, captured, reference, expires_at, lot_ids, lot_amounts"
OPERATION_COLUMNS = (
    "version, kind, debit_book, credit_book, amount, requested_amount, posted_after, held_after, reference, actor, request_id,"
    " fingerprint, created_at, refusal, available_at_refusal, related_version, lot_ids, lot_amounts, debt_change"
)

# An account with its open lots, at most so many, soonest to expire first, and the holds that have run out: one row, one snapshot.
# Lots and holds come as arrays, a column each; the lots of holds as text, for arrays of arrays must be of one length.
# Under locks it is a statement of its own, after the one that locks.
READ_ACCOUNTS = f"""
    select clock_timestamp(), account_key::text, {ACCOUNT_COLUMNS}, lots.*, holds.*
    from account
    cross join lateral (
        select count(*), array_agg(lot_id), array_agg(amount), array_agg(remaining), array_agg(held), array_agg(available_at),
            array_agg(expires_at)
        from (
            select {LOT_COLUMNS} from lot
            where lot.account_key = account.account_key and is_open
            order by expires_at nulls last, lot_id limit %s
        ) as open_lot
    ) as lots
    cross join lateral (
        select array_agg(hold_id), array_agg(state), array_agg(amount), array_agg(remaining), array_agg(captured), array_agg(reference),
            array_agg(expires_at), array_agg(lot_ids::text), array_agg(lot_amounts::text)
        from hold
        where hold.account_key = account.account_key and state = 1 and expires_at <= greatest(clock_timestamp(), account.updated_at)
    ) as holds
    where account_key = any(%s::uuid[])
"""  # noqa: S608  the columns are ours
_LOTS_AT = 2 + len(ACCOUNT_COLUMNS.split(","))
_HOLDS_AT = _LOTS_AT + 1 + len(LOT_COLUMNS.split(","))


def loaded_of(name: AccountName, row: Sequence[Any], *, lots_max: int, holds: Sequence[Hold] = ()) -> Loaded:
    """Returns the account of a row of READ_ACCOUNTS that was asked for with the limit `lots_max`; adds `holds` to those that ran out."""
    count, *columns = row[_LOTS_AT:_HOLDS_AT]
    lots = [Lot(*values) for values in zip(*columns, strict=True)] if count else []
    return Loaded(Account(name, *row[2:_LOTS_AT]), lots, [*_due_holds_of(row), *holds], lots_complete=count < lots_max)


def with_lots(loaded: Loaded, lots: Sequence[Lot]) -> Loaded:
    """Adds lots that are not among the loaded ones: closed ones, which a reversal may open again, and ones that expire later."""
    if not lots:
        return loaded
    known = {lot.id for lot in loaded.lots}
    more = [lot for lot in lots if lot.id not in known]
    return replace(loaded, other_lots=more) if more else loaded


def _due_holds_of(row: Sequence[Any]) -> Sequence[Hold]:
    """Returns the holds that have run out, of a row of READ_ACCOUNTS."""
    columns = row[_HOLDS_AT:]
    if columns[0] is None:
        return ()
    return [hold_of([*values, _numbers(ids), _numbers(amounts)]) for *values, ids, amounts in zip(*columns, strict=True)]


def _numbers(literal: str) -> list[int]:
    """Returns the numbers of an array literal."""
    return [int(number) for number in literal.strip("{}").split(",") if number]


def lot_of(row: Sequence[Any]) -> Lot:
    """Returns the lot of a row of LOT_COLUMNS."""
    return Lot(*row)


def hold_of(row: Sequence[Any]) -> Hold:
    """Returns the hold of a row of HOLD_COLUMNS."""
    values = list(row[:7])
    values[1] = HoldState(row[1])
    values.append(_uses(row[7], row[8]))
    return Hold(*values)


def operation_of(name: AccountName, row: Sequence[Any]) -> Operation:
    """Returns the operation of a row of OPERATION_COLUMNS."""
    values = list(row[:16])
    values[1:4] = Kind(row[1]), Book(row[2]), Book(row[3])
    values[13] = None if row[13] is None else Refusal(row[13])
    values += [_uses(row[16], row[17]), row[18]]
    return Operation(name, *values)


def _uses(lot_ids: Sequence[int], lot_amounts: Sequence[int]) -> LotUses:
    return tuple(zip(lot_ids, lot_amounts, strict=True))


def operation_row(operation: Operation) -> tuple[Any, ...]:
    """Returns the account's key and the values of OPERATION_COLUMNS."""
    return (
        operation.account.key_text,
        operation.version,
        int(operation.kind),
        int(operation.debit_book),
        int(operation.credit_book),
        operation.amount,
        operation.requested_amount,
        operation.posted_after,
        operation.held_after,
        operation.reference,
        operation.actor,
        operation.request_id,
        operation.fingerprint,
        operation.created_at,
        None if operation.refusal is None else int(operation.refusal),
        operation.available_at_refusal,
        operation.related_version,
        *_use_arrays(operation.lots),
        operation.debt_change,
    )


def account_row(account: Account) -> tuple[Any, ...]:
    """Returns the account's key and what an operation may change of it."""
    return (
        account.name.key_text,
        account.version,
        account.posted,
        account.held,
        account.debt,
        account.lifetime_earned,
        account.lifetime_spent,
        account.min_balance,
        account.updated_at,
    )


def lot_row(name: AccountName, lot: Lot) -> tuple[Any, ...]:
    """Returns the account's key and the values of LOT_COLUMNS."""
    return name.key_text, lot.id, lot.amount, lot.remaining, lot.held, lot.available_at, lot.expires_at


def hold_row(name: AccountName, hold: Hold) -> tuple[Any, ...]:
    """Returns the account's key and the values of HOLD_COLUMNS."""
    uses = _use_arrays(hold.lots)
    return name.key_text, hold.id, int(hold.state), hold.amount, hold.remaining, hold.captured, hold.reference, hold.expires_at, *uses


def _use_arrays(uses: LotUses) -> tuple[str, str]:
    """Returns lot ids and amounts as array literals: `unnest` would flatten arrays of arrays."""
    ids = ",".join([str(lot_id) for lot_id, _ in uses])
    amounts = ",".join([str(amount) for _, amount in uses])
    return f"{{{ids}}}", f"{{{amounts}}}"


def columns(rows: Iterable[Sequence[Any]]) -> list[str]:
    """Turns rows into the arrays that `unnest` takes, one a column, as array literals.

    They cost a fraction of what the driver spends on each element, and make one prepared statement of what would be several: the driver
    chooses the type of a number by its size.
    """
    return [array(column) for column in zip(*rows, strict=True)]


def array(values: Iterable[Any]) -> str:
    """Returns an array literal of values that are None or of one type."""
    known = list(values)
    kind = next((type(value) for value in known if value is not None), int)
    elements = _ELEMENTS[kind]
    if None not in known:
        return "{" + ",".join(elements(known)) + "}"
    written = iter(elements([value for value in known if value is not None]))
    return "{" + ",".join(["null" if value is None else next(written) for value in known]) + "}"


def _texts(values: Sequence[str]) -> Iterable[str]:
    return ['"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in values]


def _times(values: Sequence[datetime]) -> Iterable[str]:
    """Writes each time once: those of a batch are mostly the same."""
    texts = {moment: f'"{moment.isoformat()}"' for moment in set(values)}
    return map(texts.__getitem__, values)


_ELEMENTS: dict[type, Callable[[Any], Iterable[str]]] = {
    int: partial(map, str),
    UUID: partial(map, attrgetter("hex")),
    str: _texts,
    bytes: lambda values: [f'"\\\\x{content.hex()}"' for content in values],
    datetime: _times,
}
