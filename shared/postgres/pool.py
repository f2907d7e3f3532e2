"""Connections for hand-written SQL (psycopg)."""

from __future__ import annotations

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

Pool = AsyncConnectionPool[psycopg.AsyncConnection[TupleRow]]

# Longer than that and the caller is better served by an error that says so.
WAIT_LIMIT_S = 1.0


def make_pool(conninfo: str, *, size_min: int = 1, size_max: int, autocommit: bool = False) -> Pool:
    """Returns a pool, not opened: use it as `async with`."""
    return AsyncConnectionPool(
        conninfo,
        min_size=size_min,
        max_size=size_max,
        timeout=WAIT_LIMIT_S,
        open=False,
        kwargs={"autocommit": autocommit},
        reconnect_timeout=30,
    )


async def check_pool(pool: Pool) -> None:
    """Raises if the database does not answer."""
    async with pool.connection() as connection:
        await connection.execute("select 1")
