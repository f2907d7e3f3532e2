"""Prescriptions and their uses. Rows are locked in the order of their ids, so that nobody waits in a circle."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Uuid, any_, func, insert, literal, select, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orders.adapters.postgres.medicines import find_many
from services.orders.adapters.postgres.tables import prescription as table
from services.orders.adapters.postgres.tables import prescription_use as uses_table
from services.orders.adapters.postgres.transactions import Transaction, Transactions
from services.orders.domain.catalogue.medicine import Medicine
from services.orders.domain.prescriptions.prescription import Prescription
from shared.requests import RequestKey

COLUMNS = tuple(table.c)
NUMBER_UNIQUE = "prescription_number_unique"


def prescription_of(row: Row[Any]) -> Prescription:
    """Returns the prescription of a row of COLUMNS."""
    values = dict(row._mapping)
    return Prescription(id=values.pop("prescription_id"), skus=tuple(values.pop("skus")), **values)


async def lock_many(connection: AsyncConnection, customer_id: str, ids: Collection[UUID]) -> Mapping[UUID, Prescription]:
    """Returns those of these prescriptions that the customer has; nobody else uses or changes them until the transaction ends."""
    query = select(*COLUMNS).where(_is_any(ids), table.c.customer_id == customer_id)
    rows = await connection.execute(query.order_by(table.c.prescription_id).with_for_update(key_share=True))
    return {row.prescription_id: prescription_of(row) for row in rows}


async def add(connection: AsyncConnection, prescription: Prescription) -> bool:
    """Stores a new prescription; False if the customer has one with this number."""
    new = upsert(table).values(_values(prescription)).on_conflict_do_nothing(constraint=NUMBER_UNIQUE)
    return (await connection.execute(new.returning(table.c.prescription_id))).first() is not None


async def store(connection: AsyncConnection, prescription: Prescription) -> None:
    """Stores a prescription that was locked and has changed."""
    await connection.execute(update(table).where(table.c.prescription_id == prescription.id).values(_values(prescription)))


async def count_use(connection: AsyncConnection, ids: Collection[UUID], order_id: UUID) -> None:
    """Counts the order once on each of these prescriptions, which are locked and not used up. The order's row must be there."""
    distinct = set(ids)
    if not distinct:
        return
    await connection.execute(_counted(table.c.uses + 1).where(_is_any(distinct)))
    await connection.execute(insert(uses_table), [{"prescription_id": one, "order_id": order_id} for one in sorted(distinct)])


async def give_back(connection: AsyncConnection, order_id: UUID) -> None:
    """Takes the order off the prescriptions that it was counted on. Again: nothing happens."""
    of_order = (uses_table.c.order_id == order_id, uses_table.c.given_back.is_(False))
    used = select(table.c.prescription_id).join(uses_table, uses_table.c.prescription_id == table.c.prescription_id).where(*of_order)
    locking = used.order_by(table.c.prescription_id).with_for_update(key_share=True, of=table)
    if not (await connection.execute(locking)).all():
        return
    # A statement of its own: one that began before the locks were free would not see that the uses were given back meanwhile.
    given_back = update(uses_table).where(*of_order).values(given_back=True).returning(uses_table.c.prescription_id)
    ids = (await connection.execute(given_back)).scalars().all()
    if ids:
        await connection.execute(_counted(table.c.uses - 1).where(_is_any(ids)))


def _values(prescription: Prescription) -> dict[str, Any]:
    values = {field.name: getattr(prescription, field.name) for field in fields(prescription)}
    return {"prescription_id": values.pop("id"), **values, "skus": list(prescription.skus)}


def _is_any(ids: Collection[UUID]) -> ColumnElement[bool]:
    return table.c.prescription_id == any_(literal(list(ids), ARRAY(Uuid)))


def _counted(uses: Any) -> Any:
    return update(table).values(uses=uses, version=table.c.version + 1, updated_at=func.clock_timestamp())


class PostgresPrescriptions:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def find(self, customer_id: str, prescription_id: UUID) -> Prescription | None:
        query = select(*COLUMNS).where(table.c.prescription_id == prescription_id, table.c.customer_id == customer_id)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).first()
        return prescription_of(row) if row else None

    async def list(self, customer_id: str, *, before: tuple[datetime, UUID] | None, limit: int) -> Sequence[Prescription]:
        query = select(*COLUMNS).where(table.c.customer_id == customer_id)
        if before is not None:
            made_at, prescription_id = before
            last = tuple_(literal(made_at, table.c.created_at.type), literal(prescription_id, table.c.prescription_id.type))
            query = query.where(tuple_(table.c.created_at, table.c.prescription_id) < last)
        query = query.order_by(table.c.created_at.desc(), table.c.prescription_id.desc()).limit(limit)
        async with self._engine.connect() as connection:
            return [prescription_of(row) for row in await connection.execute(query)]


class PostgresPrescriptionWrites:
    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[PostgresPrescriptionWrite]:
        async with self._transactions.begin() as transaction:
            yield PostgresPrescriptionWrite(transaction)


class PostgresPrescriptionWrite:
    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._connection = transaction.connection

    async def answered(self, key: RequestKey) -> Prescription | None:
        return await self._transaction.answered(key, Prescription)

    async def medicines(self, skus: Collection[str]) -> Mapping[str, Medicine]:
        return await find_many(self._connection, skus)

    async def lock(self, customer_id: str, prescription_id: UUID) -> Prescription | None:
        return (await lock_many(self._connection, customer_id, [prescription_id])).get(prescription_id)

    async def add(self, prescription: Prescription) -> bool:
        return await add(self._connection, prescription)

    async def store(self, prescription: Prescription) -> None:
        await store(self._connection, prescription)

    async def commit(self, key: RequestKey, answer: Prescription) -> None:
        await self._transaction.commit(key, Prescription, answer)
