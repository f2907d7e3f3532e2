"""Rewards and orders in PostgreSQL, in the schema `accrual_sim`, which is made at the start if it is missing."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import LiteralString

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.sql import SQL, Identifier
from psycopg_pool import AsyncConnectionPool

from deploy.local.accrual_sim.orders import Order, Status
from deploy.local.accrual_sim.rewards import Reward, RewardType
from deploy.local.accrual_sim.storage import MemoryStorage, Storage

# Two simulators that start at once must not both create the schema: `if not exists` alone does not save them from a unique violation.
_LOCK = "select pg_advisory_xact_lock(hashtextextended('accrual_sim schema', 0))"
_SCHEMA: tuple[LiteralString, ...] = (
    "create schema if not exists accrual_sim",
    """create table if not exists accrual_sim.rewards (
         match text collate "C" primary key,
         reward numeric not null check (reward >= 0),
         reward_type text not null check (reward_type in ('%', 'pt')))""",
    """create table if not exists accrual_sim.orders (
         number text collate "C" primary key,
         final_status text not null check (final_status in ('INVALID', 'PROCESSED')),
         accrual numeric,
         processing_at timestamptz,
         done_at timestamptz)""",
)
_GRANTS: tuple[LiteralString, ...] = (
    "grant usage on schema accrual_sim to {}",
    "grant select, insert, update, truncate on accrual_sim.rewards, accrual_sim.orders to {}",
)
_GET_ORDER = "select number, final_status, accrual, processing_at, done_at from accrual_sim.orders where number = %s"
_ADD_ORDER = """insert into accrual_sim.orders (number, final_status, accrual, processing_at, done_at)
                values (%s, %s, %s, %s, %s) on conflict (number) do """
_REPLACED = """update set final_status = excluded.final_status, accrual = excluded.accrual,
                          processing_at = excluded.processing_at, done_at = excluded.done_at"""
_CONNECT_S = 10.0
_STATEMENT_S = 5.0

APPLICATION_NAME = "accrual-sim"
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
        max_size=4,
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
    """Survives the end of the process, however it comes: each method is one committed statement."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add_reward(self, reward: Reward) -> bool:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "insert into accrual_sim.rewards (match, reward, reward_type) values (%s, %s, %s) on conflict (match) do nothing",
                [reward.match, reward.reward, reward.reward_type.value],
            )
        return cursor.rowcount == 1

    async def rewards(self) -> Sequence[Reward]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute("select match, reward, reward_type from accrual_sim.rewards")
            return [Reward(match, reward, RewardType(kind)) for match, reward, kind in await cursor.fetchall()]

    async def add_order(self, order: Order) -> bool:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_ADD_ORDER + "nothing", _row(order))
        return cursor.rowcount == 1

    async def put_order(self, order: Order) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(_ADD_ORDER + _REPLACED, _row(order))

    async def order(self, number: str) -> Order | None:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_GET_ORDER, [number])
            row = await cursor.fetchone()
        if row is None:
            return None
        _, final_status, accrual, processing_at, done_at = row
        return Order(number, Status(final_status), accrual, processing_at, done_at)

    async def clear(self) -> None:
        async with self._pool.connection() as connection:
            await connection.execute("truncate accrual_sim.orders, accrual_sim.rewards")

    async def is_usable(self) -> bool:
        try:
            async with self._pool.connection() as connection:
                await connection.execute("select from accrual_sim.orders limit 1")
        except psycopg.Error as error:
            _log.warning("the database cannot be used: %s", error)
            return False
        return True


def _row(order: Order) -> list[object]:
    return [order.number, order.final_status.value, order.accrual, order.processing_at, order.done_at]
