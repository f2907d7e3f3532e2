"""Connections for hand-written SQL (psycopg)."""

from __future__ import annotations

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

Connection = psycopg.AsyncConnection[TupleRow]
Pool = AsyncConnectionPool[Connection]

# Longer than that and the caller is better served by an error that says so.
WAIT_LIMIT_S = 1.0


def make_pool(conninfo: str, *, size_min: int = 1, size_max: int, autocommit: bool = False) -> Pool:
    """Returns a pool, not opened: use it as `async with`."""
    return _OutagePool(
        conninfo,
        min_size=size_min,
        max_size=size_max,
        timeout=WAIT_LIMIT_S,
        open=False,
        kwargs={"autocommit": autocommit},
        reconnect_timeout=30,
    )


class _OutagePool(AsyncConnectionPool[Connection]):
    """Tells an outage from a rush: if nobody has a connection and none can be had, the database is away."""

    _taken = 0

    async def getconn(self, timeout: float | None = None) -> Connection:
        """Raises PoolTimeout if all connections are taken, OperationalError if the database can't be reached."""
        try:
            connection = await super().getconn(timeout)
        except PoolTimeout as error:
            if self._taken:
                raise
            raise psycopg.OperationalError("no connection could be made") from error
        self._taken += 1
        return connection

    async def putconn(self, conn: Connection) -> None:
        self._taken -= 1
        await super().putconn(conn)


async def check_pool(pool: Pool) -> None:
    """Raises if the database does not answer."""
    async with pool.connection() as connection:
        await connection.execute("select 1")
