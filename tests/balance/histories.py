"""Histories that are made up: written into the tables as they are, faster than the ledger could and at any times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import psycopg

from services.balance.adapters.postgres.rows import OPERATION_COLUMNS, operation_row
from services.balance.domain.commands import Credit
from services.balance.domain.decide import Group
from services.balance.domain.model import BOOKS, Book, Kind, Operation, Refusal
from services.balance.domain.names import AccountName

OWN_BOOKS = {Book.CUSTOMER, Book.HELD}


@dataclass(frozen=True)
class Event:
    """What an operation of a made-up history is."""

    at: datetime
    kind: Kind = Kind.CREDIT
    amount: int = 1
    reference: str = "18"
    refused: bool = False


@dataclass(frozen=True)
class Folded:
    """Posted and held, worked out from the books that points moved between, one operation after the other."""

    posted: int = 0
    held: int = 0

    def after(self, event: Event) -> Folded:
        if event.refused:
            return self
        debit, credit = BOOKS[event.kind]
        posted = (credit in OWN_BOOKS) - (debit in OWN_BOOKS)
        held = (credit is Book.HELD) - (debit is Book.HELD)
        return Folded(self.posted + posted * event.amount, self.held + held * event.amount)


def new_account(program: str = "main") -> AccountName:
    return AccountName(program, str(uuid4()))


def operations_of(name: AccountName, events: Sequence[Event]) -> Sequence[Operation]:
    """Returns the operations that tell the events, versions from 1."""
    operations, state = [], Folded()
    for version, event in enumerate(events, start=1):
        state = state.after(event)
        operations.append(
            Operation(
                name, version, event.kind, *BOOKS[event.kind], 0 if event.refused else event.amount, event.amount, state.posted, state.held,
                event.reference, "services/accrual", uuid4(), b"", event.at, Refusal.INSUFFICIENT_POINTS if event.refused else None,
            )
        )  # fmt: skip
    return operations


async def open_account(connection: psycopg.AsyncConnection, name: AccountName, opened_at: datetime, version: int = 0) -> None:
    await connection.execute(
        """insert into balance.account (account_key, program, account_id, version, created_at, updated_at)
           values (%s, %s, %s, %s, %s, %s) on conflict (account_key) do update set version = excluded.version""",
        [name.key, name.program, name.account_id, version, opened_at, opened_at],
    )


async def insert(connection: psycopg.AsyncConnection, operations: Sequence[Operation]) -> None:
    places = ", ".join(["%s"] * 20)
    async with connection.cursor() as cursor:
        await cursor.executemany(
            f"insert into balance.operation (account_key, {OPERATION_COLUMNS}) values ({places})",
            [operation_row(operation) for operation in operations],
        )


async def write_history(uri: str, name: AccountName, opened_at: datetime, events: Sequence[Event]) -> Sequence[Operation]:
    """Writes an account that was opened then, and its operations, in one transaction."""
    operations = operations_of(name, events)
    async with await psycopg.AsyncConnection.connect(uri) as connection:
        await open_account(connection, name, opened_at, len(operations))
        await insert(connection, operations)
    return operations


async def write_long_history(uri: str, name: AccountName, length: int, reference: str = "18") -> None:
    """Writes credits of 1, one a second up to now."""
    async with await psycopg.AsyncConnection.connect(uri) as connection:
        await open_account(connection, name, datetime(2000, 1, 1, tzinfo=UTC), length)
        await connection.execute(
            """insert into balance.operation (account_key, version, kind, debit_book, credit_book, amount, requested_amount, posted_after,
                   held_after, reference, actor, request_id, fingerprint, created_at)
               select %(key)s, place, 1, 2, 1, 1, 1, place, 0, %(reference)s, 'services/accrual', gen_random_uuid(), '',
                   now() - make_interval(secs => %(length)s - place)
               from generate_series(1, %(length)s) as place""",
            {"key": name.key, "length": length, "reference": reference},
        )
    async with await psycopg.AsyncConnection.connect(uri, autocommit=True) as connection:
        await connection.execute("analyze balance.operation, balance.account")


def credited(accounts: Sequence[AccountName]) -> Group:
    """Returns credits of a point each."""
    return Group(
        [Credit(account=name, actor="services/accrual", request_id=uuid4(), fingerprint=b"", amount=1, reference="18") for name in accounts]
    )
