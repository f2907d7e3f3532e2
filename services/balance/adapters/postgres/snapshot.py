"""Long reads: one snapshot of the whole ledger, however long it is looked at, on a connection of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from shared.postgres.pool import Pool

# Set for the transaction, so that it also holds behind a pooler. A statement may take long for an account with a long history, and
# whoever reads the findings may be slow; a snapshot that nobody reads any more is given up.
BEGIN = (
    "set transaction isolation level repeatable read, read only",
    "set local statement_timeout = '5min'",
    "set local idle_in_transaction_session_timeout = '1min'",
)


@asynccontextmanager
async def snapshot(pool: Pool) -> AsyncIterator[AsyncConnection[TupleRow]]:
    """Yields a connection that sees the database as it is now, until the block ends, and can't change it."""
    async with pool.connection() as connection, connection.transaction():
        for statement in BEGIN:
            await connection.execute(statement)
        yield connection
