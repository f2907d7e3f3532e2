"""Statements that go past SQLAlchemy and the driver's cursors, several at once where none needs the answer of another.

Parameters are text, so each says its type. The transaction, if there is one, is that of the SQLAlchemy connection above.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import cache, partial
from typing import Any, TypeAlias

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orders.adapters.postgres.medicines import COLUMNS
from services.orders.domain.catalogue.medicine import Medicine
from shared.postgres.round_trips import RoundTrips, Rows, Statement, array

Driver: TypeAlias = psycopg.AsyncConnection[Any]
Send: TypeAlias = Callable[[Sequence[Statement]], Awaitable[Sequence[Rows]]]
Named: TypeAlias = tuple[str, Sequence[str]]

# Planned once: to plan for each new cart anew costs twice what it does to run the statement. A plan, of ours or of a foreign key, that was
# made while a table was small would go through all of it for as long as the plan lives; the walk along the keys is always right.
SETTINGS: Statement = (
    """select set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true),
              set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true)""",
    (),
)

BEGIN: Statement = ("begin", ())
CLOCK: Statement = ("select clock_timestamp()", ())
COMMIT: Statement = ("commit", ())
_NAME = re.compile(r"%\((\w+)\)s")
_MEDICINES = f"select {', '.join(column.name for column in COLUMNS)} from medicine where sku = any(%s::text[])"  # noqa: S608


async def driver_of(connection: AsyncConnection) -> Driver:
    """Returns the connection of the driver, in the same transaction."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver, psycopg.AsyncConnection)
    return driver


async def sender(round_trips: RoundTrips, connection: AsyncConnection) -> Send:
    """Returns what sends statements over the connection, together."""
    return partial(round_trips.send, await driver_of(connection))


async def sender_in_transaction(round_trips: RoundTrips, connection: AsyncConnection) -> Send:
    """The same in the transaction of the connection, which begins if it has not: what is sent outside of one is committed at once."""
    if not connection.in_transaction():
        await connection.begin()  # else SQLAlchemy would have nothing to commit
    driver = await driver_of(connection)

    async def send(statements: Sequence[Statement]) -> Sequence[Rows]:
        if driver.pgconn.transaction_status == TransactionStatus.IDLE:
            return (await round_trips.send(driver, [BEGIN, *statements]))[1:]
        return await round_trips.send(driver, statements)

    return send


def parameters(table: Table) -> dict[str, str]:
    """Returns what stands for the value of each column: a parameter of its name and type."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    return {column.name: f"%({column.name})s::{column.type.compile(dialect=dialect)}" for column in table.c}


@cache  # the statements are so many and no more
def positional(text: str) -> Named:
    """Returns the statement with `%s` for each named parameter, and the names in the order of these."""
    return _NAME.sub("%s", text), _NAME.findall(text)


def named(statement: Named, values: Mapping[str, Any]) -> Statement:
    """Returns the statement with its parameters."""
    text, names = statement
    return text, [_text(values[name]) for name in names]


def find_medicines(skus: Collection[str]) -> Statement:
    """Returns what asks for the medicines that the catalogue has of these SKUs."""
    return _MEDICINES, [array(skus)]


def medicines_of(rows: Rows) -> Mapping[str, Medicine]:
    """Returns the medicines that were found, by SKU."""
    names = [column.name for column in COLUMNS]
    found = (Medicine(**dict(zip(names, row, strict=True))) for row in rows)
    return {medicine.sku: medicine for medicine in found}


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return array(value) if isinstance(value, list) else str(value)
