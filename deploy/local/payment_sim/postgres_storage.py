"""Records in PostgreSQL, in the schema `payment_sim`, which is made at the start if it is missing. One process uses it at a time."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import LiteralString

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from deploy.local.payment_sim.models import KIND_OF, KINDS, Record
from deploy.local.payment_sim.storage import MemoryStorage, Storage

# Two simulators that start at once must not both create the schema: `if not exists` alone does not save them from a unique violation.
_LOCK = "select pg_advisory_xact_lock(hashtextextended('payment_sim schema', 0))"
_SCHEMA: tuple[LiteralString, ...] = (
    "create schema if not exists payment_sim",
    """create table if not exists payment_sim.records (
         kind text collate "C" not null,
         id text collate "C" not null,
         sequence bigint generated always as identity,
         document jsonb not null,
         primary key (kind, id))""",
)
_GRANTS: tuple[LiteralString, ...] = (
    "grant usage on schema payment_sim to {}",
    "grant select, insert, update, delete, truncate on payment_sim.records to {}",
)
_WRITE = """insert into payment_sim.records (kind, id, document)
            select kind, id, document from unnest(%s::text[], %s::text[], %s::jsonb[]) with ordinality as t (kind, id, document, place)
            order by place
            on conflict (kind, id) do update set document = excluded.document"""
_REMOVE = "delete from payment_sim.records where (kind, id) in (select * from unnest(%s::text[], %s::text[]))"
_CONNECT_S = 10.0
_STATEMENT_S = 5.0

APPLICATION_NAME = "payment-sim"
_log = logging.getLogger(__name__)

Pool = AsyncConnectionPool[AsyncConnection[TupleRow]]


@asynccontextmanager
async def opened_storage(database_uri: str | None, role: str | None = None) -> AsyncIterator[Storage]:
    """Opens the store in that database, in memory if it is None. The login makes what is missing; all else is done as `role`, if given.

    Raises psycopg.Error if the database cannot be used.
    """
    if database_uri is None:
        yield MemoryStorage()
        return
    await _create_schema(database_uri, role)
    # A connection is checked before each use, so that a restart of PostgreSQL costs no request an error.
    async with Pool(
        database_uri,
        kwargs={"autocommit": True, "application_name": APPLICATION_NAME},
        min_size=1,
        max_size=2,
        timeout=_STATEMENT_S,
        configure=partial(_configure, role=role),
        check=Pool.check_connection,
        open=False,
    ) as pool:
        yield PostgresStorage(pool)


async def _create_schema(database_uri: str, role: str | None) -> None:
    async with await AsyncConnection.connect(database_uri, connect_timeout=int(_CONNECT_S)) as connection:
        await connection.execute(_LOCK)
        for statement in _SCHEMA:
            await connection.execute(statement)
        for grant in _GRANTS if role else ():
            await connection.execute(SQL(grant).format(Identifier(str(role))))


async def _configure(connection: AsyncConnection[TupleRow], *, role: str | None) -> None:
    await connection.execute("select set_config('statement_timeout', %s, false)", [f"{int(_STATEMENT_S * 1000)}ms"])
    if role:
        await connection.execute("select set_config('role', %s, false)", [role])


class PostgresStorage:
    """Survives the end of the process, however it comes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def load(self) -> Sequence[Record]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute("select kind, document from payment_sim.records order by sequence")
            return [KINDS[kind](**document) for kind, document in await cursor.fetchall()]

    async def write(self, changed: Sequence[Record], removed: Sequence[Record]) -> None:
        async with self._pool.connection() as connection, connection.transaction():
            if changed:
                kinds, names = [KIND_OF[type(record)] for record in changed], [record.id for record in changed]
                await connection.execute(_WRITE, [kinds, names, [Jsonb(dataclasses.asdict(record)) for record in changed]])
            if removed:
                await connection.execute(_REMOVE, [[KIND_OF[type(record)] for record in removed], [record.id for record in removed]])

    async def clear(self) -> None:
        async with self._pool.connection() as connection:
            await connection.execute("truncate payment_sim.records")

    async def is_usable(self) -> bool:
        try:
            async with self._pool.connection() as connection:
                await connection.execute("select from payment_sim.records limit 1")
        except psycopg.Error as error:
            _log.warning("the database cannot be used: %s", error)
            return False
        return True
