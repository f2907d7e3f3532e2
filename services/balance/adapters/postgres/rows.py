"""Rows as domain objects, and the columns in the order that they are read and written in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.balance.domain.ledger import Account, Book, Kind, Operation, Refusal
from services.balance.domain.names import AccountName

ACCOUNT_COLUMNS = "version, posted, held, pending, debt, lifetime_earned, lifetime_spent, created_at, updated_at"
OPERATION_COLUMNS = (
    "version, kind, debit_book, credit_book, amount, requested_amount, posted_after, held_after, reference, actor, request_id,"
    " fingerprint, created_at, refusal, available_at_refusal, related_version"
)


def account_of(name: AccountName, row: Sequence[Any]) -> Account:
    """Returns the account of a row of ACCOUNT_COLUMNS."""
    return Account(name, *row)


def operation_of(name: AccountName, row: Sequence[Any]) -> Operation:
    """Returns the operation of a row of OPERATION_COLUMNS."""
    values = list(row)
    values[1:4] = Kind(row[1]), Book(row[2]), Book(row[3])
    values[13] = None if row[13] is None else Refusal(row[13])
    return Operation(name, *values)


def operation_row(operation: Operation) -> tuple[Any, ...]:
    """Returns the account's key and the values of OPERATION_COLUMNS."""
    return (
        operation.account.key,
        operation.version,
        operation.kind.value,
        operation.debit_book.value,
        operation.credit_book.value,
        operation.amount,
        operation.requested_amount,
        operation.posted_after,
        operation.held_after,
        operation.reference,
        operation.actor,
        operation.request_id,
        operation.fingerprint,
        operation.created_at,
        None if operation.refusal is None else operation.refusal.value,
        operation.available_at_refusal,
        operation.related_version,
    )


def account_row(account: Account) -> tuple[Any, ...]:
    """Returns the account's key and what an operation may change of it."""
    return (
        account.name.key,
        account.version,
        account.posted,
        account.held,
        account.pending,
        account.debt,
        account.lifetime_earned,
        account.lifetime_spent,
        account.updated_at,
    )
