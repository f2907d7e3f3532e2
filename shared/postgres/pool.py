"""Connections for hand-written SQL (psycopg)."""

from __future__ import annotations

import select

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


class LivePool(AsyncConnectionPool[Connection]):
    """Gives nobody a connection that the server has ended meanwhile, as a restart ends them all, and asks no server before each use.

    (The pool's own check would; and where several are dead, it waits for a second between one and the next.)
    """

    async def getconn(self, timeout: float | None = None) -> Connection:
        """Raises PoolTimeout if there is none in time."""
        while _has_spoken(connection := await super().getconn(timeout)):
            await connection.close()
            await super().putconn(connection)  # which replaces it
        return connection


def _has_spoken(connection: Connection) -> bool:
    """Tells whether the server has said something to an idle connection: that it ends it, as a rule."""
    spoken = select.poll()
    spoken.register(connection.fileno(), select.POLLIN)
    return bool(spoken.poll(0))


class _OutagePool(LivePool):
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
