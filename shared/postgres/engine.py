"""Connections for SQLAlchemy Core, over the same driver as hand-written SQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared.postgres.pool import WAIT_LIMIT_S

# The driver prepares a statement that it has met so often.
PREPARED_AFTER = 5


def make_engine(conninfo: str, *, size_max: int, wait_limit_s: float = WAIT_LIMIT_S, prepares: bool = True) -> AsyncEngine:
    """Returns a SQLAlchemy engine over psycopg; it connects when first used. READ COMMITTED.

    With `prepares` off the driver leaves it to others to prepare statements on its connections, like RoundTrips.
    """

    async def connect() -> psycopg.AsyncConnection[Any]:
        return await psycopg.AsyncConnection.connect(conninfo, prepare_threshold=PREPARED_AFTER if prepares else None)

    return create_async_engine(
        "postgresql+psycopg://",
        async_creator=connect,
        pool_size=size_max,
        max_overflow=0,
        pool_timeout=wait_limit_s,
        pool_use_lifo=True,  # few connections are in use most of the time: the same ones, which have their plans and caches at hand
    )


@asynccontextmanager
async def disposing(engine: AsyncEngine) -> AsyncIterator[AsyncEngine]:
    """Closes the engine's connections at the end of the block."""
    try:
        yield engine
    finally:
        await engine.dispose()


async def check_engine(engine: AsyncEngine) -> None:
    """Raises if the database does not answer."""
    async with engine.connect() as connection:
        await connection.exec_driver_sql("select 1")
