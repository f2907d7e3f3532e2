"""The transactions that change customers and addresses; each remembers its answer under the request's id.

Rows are locked before anything is decided from them, those of one customer by the customer's own row, administrators in the order of
their ids, so that nobody waits in a circle.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, insert, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.customers.adapters.postgres.rows import (
    ADDRESS_COLUMNS,
    CUSTOMER_COLUMNS,
    address_of,
    address_values,
    customer_of,
    customer_values,
    reply_of,
    values_of,
)
from services.customers.adapters.postgres.tables import address as address_table
from services.customers.adapters.postgres.tables import customer as customer_table
from services.customers.adapters.postgres.tables import request_log
from services.customers.domain.address import Address
from services.customers.domain.customer import ADMIN, Customer
from shared.postgres.request_log import RequestLog
from shared.requests import RequestKey

REMOVED = {"removed": True}


class PostgresWrites:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._log = RequestLog(request_log)

    @asynccontextmanager
    async def customer(self) -> AsyncIterator[PostgresCustomerWrite]:
        async with self._engine.connect() as connection:
            yield PostgresCustomerWrite(connection, self._log)

    @asynccontextmanager
    async def addresses(self) -> AsyncIterator[PostgresAddressWrite]:
        async with self._engine.connect() as connection:
            yield PostgresAddressWrite(connection, self._log)


class PostgresCustomerWrite:
    def __init__(self, connection: AsyncConnection, log: RequestLog) -> None:
        self._connection = connection
        self._log = log

    async def answered(self, key: RequestKey) -> Customer | None:
        reply = await self._log.begin(self._connection, key)
        return None if reply is None else customer_of(values_of(reply))

    async def lock(self, customer_id: UUID) -> Customer | None:
        found = await self._locked(customer_table.c.customer_id == customer_id)
        return found[0] if found else None

    async def lock_with_admins(self, customer_id: UUID) -> tuple[Customer | None, Collection[UUID]]:
        is_admin = literal(ADMIN) == func.any(customer_table.c.roles)
        found = await self._locked(or_(customer_table.c.customer_id == customer_id, is_admin))
        return next((one for one in found if one.id == customer_id), None), {one.id for one in found if ADMIN in one.roles}

    async def commit(self, key: RequestKey, customer: Customer) -> None:
        values = customer_values(customer)
        await self._connection.execute(update(customer_table).where(customer_table.c.customer_id == customer.id).values(values))
        await self._log.finish(self._connection, key, reply_of(values))
        await self._connection.commit()

    async def _locked(self, condition: ColumnElement[bool]) -> list[Customer]:
        query = select(*CUSTOMER_COLUMNS).where(condition).order_by(customer_table.c.customer_id).with_for_update(key_share=True)
        return [customer_of(row) for row in await self._connection.execute(query)]


class PostgresAddressWrite:
    def __init__(self, connection: AsyncConnection, log: RequestLog) -> None:
        self._connection = connection
        self._log = log

    async def answered(self, key: RequestKey) -> Address | None:
        reply = await self._log.begin(self._connection, key)
        return None if reply is None else address_of(values_of(reply))

    async def was_removed(self, key: RequestKey) -> bool:
        return await self._log.begin(self._connection, key) is not None

    async def count_locked(self, customer_id: UUID) -> int | None:
        owner = select(customer_table.c.customer_id).where(customer_table.c.customer_id == customer_id)
        if (await self._connection.execute(owner.with_for_update(key_share=True))).first() is None:
            return None
        # A statement of its own: one that began before the lock was free would not see what others have added meanwhile.
        count = select(func.count()).select_from(address_table).where(address_table.c.customer_id == customer_id)
        return (await self._connection.execute(count)).scalar_one()

    async def lock(self, customer_id: UUID, address_id: UUID) -> Address | None:
        query = select(*ADDRESS_COLUMNS).where(*_is(customer_id, address_id)).with_for_update(key_share=True)
        row = (await self._connection.execute(query)).first()
        return address_of(row) if row else None

    async def commit_new(self, key: RequestKey, address: Address) -> None:
        values = address_values(address)
        await self._connection.execute(insert(address_table).values(values))
        await self._finish(key, reply_of(values))

    async def commit_changed(self, key: RequestKey, address: Address) -> None:
        values = address_values(address)
        await self._connection.execute(update(address_table).where(*_is(address.customer_id, address.id)).values(values))
        await self._finish(key, reply_of(values))

    async def commit_removed(self, key: RequestKey, address: Address) -> None:
        await self._connection.execute(delete(address_table).where(*_is(address.customer_id, address.id)))
        await self._finish(key, REMOVED)

    async def _finish(self, key: RequestKey, reply: Mapping[str, object]) -> None:
        await self._log.finish(self._connection, key, reply)
        await self._connection.commit()


def _is(customer_id: UUID, address_id: UUID) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return address_table.c.customer_id == customer_id, address_table.c.address_id == address_id
