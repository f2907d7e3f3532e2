"""Connections for hand-written SQL."""

from __future__ import annotations

import asyncio
import time

import psycopg

from shared.postgres.pool import Pool, make_pool
from shared.testing.databases import fresh_database


async def server_processes(pool: Pool, count: int) -> set[int]:
    """Returns the server's processes behind so many connections, all taken at once."""

    async def process(everybody: asyncio.Barrier) -> int:
        async with pool.connection() as connection:
            await everybody.wait()
            return connection.info.backend_pid

    everybody = asyncio.Barrier(count)
    return set(await asyncio.gather(*(process(everybody) for _ in range(count))))


async def end(uri: str, processes: set[int]) -> None:
    """Ends connections from the server's side, and waits until they are gone."""
    deadline = time.monotonic() + 10
    async with await psycopg.AsyncConnection.connect(uri, autocommit=True) as connection:
        await connection.execute("select pg_terminate_backend(process) from unnest(%s::int[]) as process", [list(processes)])
        while await (await connection.execute("select from pg_stat_activity where pid = any(%s)", [list(processes)])).fetchone():
            assert time.monotonic() < deadline, "they do not end"
            await asyncio.sleep(0.01)


async def test_connections_that_the_server_has_ended_are_replaced_before_they_are_used(postgres_server_uri: str) -> None:
    with fresh_database(postgres_server_uri) as uri:
        async with make_pool(uri, size_max=3) as pool:
            before = await server_processes(pool, 3)
            await end(uri, before)
            async with pool.connection() as connection:
                await connection.execute("select 1")
            assert len(before | await server_processes(pool, 3)) == 6
