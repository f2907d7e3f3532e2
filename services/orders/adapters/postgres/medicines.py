"""Medicines: the reads that stand alone, and those inside a transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import Row, Text, any_, literal, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orders.adapters.postgres.tables import SEARCHABLE
from services.orders.adapters.postgres.tables import medicine as table
from services.orders.adapters.postgres.transactions import Transaction, Transactions
from services.orders.domain.catalogue.medicine import Medicine
from shared.requests import RequestKey

T = TypeVar("T")

COLUMNS = tuple(column for column in table.c if column is not table.c.search)

# The query becomes words as the medicines' texts did, by the same parser, so nothing in it is an operator. Words that are there as they
# were asked for count twice. Where no word is left the condition is unknown, which finds nothing.
SEARCH = f"""
with
asked as (select {SEARCHABLE.format("cast(:query as text)")} as words),
wanted as (
    select
        plainto_tsquery('simple', words) as whole,
        (select cast(string_agg(quote_literal(lexeme) || ':*', ' & ') as tsquery) from unnest(to_tsvector('simple', words))) as begun
    from asked
)
select {", ".join(column.name for column in COLUMNS)}
from medicine
where search @@ (select begun from wanted) and (:withdrawn_too or not withdrawn)
order by ts_rank(search, (select begun from wanted)) + ts_rank(search, (select whole from wanted)) desc, display_name, sku
limit :limit
"""  # noqa: S608  the texts are ours


def medicine_of(row: Row[Any]) -> Medicine:
    """Returns the medicine of a row of COLUMNS."""
    return Medicine(**row._mapping)


async def find_many(connection: AsyncConnection, skus: Collection[str]) -> Mapping[str, Medicine]:
    """Returns the medicines that the catalogue has of these SKUs, withdrawn ones too, by SKU."""
    rows = await connection.execute(select(*COLUMNS).where(table.c.sku == any_(literal(list(skus), ARRAY(Text)))))
    return {row.sku: medicine_of(row) for row in rows}


class PostgresMedicines:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def find(self, sku: str) -> Medicine | None:
        async with self._engine.connect() as connection:
            return (await find_many(connection, [sku])).get(sku)

    async def list(self, *, after: str | None, withdrawn_too: bool, limit: int) -> Sequence[Medicine]:
        query = select(*COLUMNS).order_by(table.c.sku).limit(limit)
        if after is not None:
            query = query.where(table.c.sku > after)
        if not withdrawn_too:
            query = query.where(~table.c.withdrawn)
        async with self._engine.connect() as connection:
            return [medicine_of(row) for row in await connection.execute(query)]

    async def search(self, query: str, *, withdrawn_too: bool, limit: int) -> Sequence[Medicine]:
        parameters = {"query": query, "withdrawn_too": withdrawn_too, "limit": limit}
        async with self._engine.connect() as connection:
            return [medicine_of(row) for row in await connection.execute(text(SEARCH), parameters)]


class PostgresCatalogueWrites:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[PostgresCatalogueWrite]:
        async with self._transactions.begin() as transaction:
            yield PostgresCatalogueWrite(transaction)


class PostgresCatalogueWrite:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._connection = transaction.connection

    async def answered(self, key: RequestKey, kind: type[T]) -> T | None:
        return await self._transaction.answered(key, kind)

    async def lock(self, sku: str) -> Medicine | None:
        row = (await self._connection.execute(select(*COLUMNS).where(table.c.sku == sku).with_for_update(key_share=True))).first()
        return medicine_of(row) if row else None

    async def add(self, medicine: Medicine) -> bool:
        new = insert(table).values(_values(medicine)).on_conflict_do_nothing(index_elements=[table.c.sku])
        return (await self._connection.execute(new.returning(table.c.sku))).first() is not None

    async def store(self, medicine: Medicine) -> None:
        await self._connection.execute(update(table).where(table.c.sku == medicine.sku).values(_values(medicine)))

    async def commit(self, key: RequestKey, kind: type[T], answer: T) -> None:
        await self._transaction.commit(key, kind, answer)


def _values(medicine: Medicine) -> dict[str, Any]:
    return {field.name: getattr(medicine, field.name) for field in fields(medicine)}
