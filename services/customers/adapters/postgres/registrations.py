"""Logins and password hashes in PostgreSQL."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from services.customers.adapters.postgres.rows import customer_values
from services.customers.adapters.postgres.tables import OPEN_ACCOUNT, credential
from services.customers.adapters.postgres.tables import customer as customer_table
from services.customers.application.ports import Registration
from services.customers.domain.customer import Customer
from shared.jobs.queue import JobQueue

_FIND = select(
    customer_table.c.customer_id,
    customer_table.c.login,
    customer_table.c.registration_request_id,
    customer_table.c.roles,
    credential.c.password_hash,
).join_from(customer_table, credential)


class PostgresRegistrations:
    def __init__(self, engine: AsyncEngine, jobs: JobQueue) -> None:
        self._engine = engine
        self._jobs = jobs

    async def find(self, login: str) -> Registration | None:
        # No login holds a NUL, and PostgreSQL can't be asked for one.
        return None if "\0" in login else await self._find(customer_table.c.login == login)

    async def find_request(self, request_id: UUID) -> Registration | None:
        return await self._find(customer_table.c.registration_request_id == request_id)

    async def add(self, customer: Customer, password_hash: str, request_id: UUID) -> bool:
        row = {**customer_values(customer), "registration_request_id": request_id}
        async with self._engine.begin() as connection:
            # Waits for whoever is just registering the same login; the unique constraints decide, nothing is asked before.
            added = insert(customer_table).values(row).on_conflict_do_nothing().returning(customer_table.c.customer_id)
            if (await connection.execute(added)).first() is None:
                return False
            await connection.execute(insert(credential).values(customer_id=customer.id, password_hash=password_hash))
            await self._jobs.enqueue(connection, OPEN_ACCOUNT, customer_id=str(customer.id))
        return True

    async def replace_hash(self, customer_id: UUID, *, old: str, new: str) -> None:
        unchanged = (credential.c.customer_id == customer_id, credential.c.password_hash == old)
        async with self._engine.begin() as connection:
            await connection.execute(update(credential).where(*unchanged).values(password_hash=new, updated_at=func.clock_timestamp()))

    async def _find(self, condition: ColumnElement[bool]) -> Registration | None:
        async with self._engine.connect() as connection:
            row: Any = (await connection.execute(_FIND.where(condition))).first()
        if row is None:
            return None
        return Registration(row.customer_id, row.login, row.registration_request_id, frozenset(row.roles), row.password_hash)
