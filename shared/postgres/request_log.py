"""Remembers what a write was answered, in the transaction of the write itself, so that a repeat gets the same answer.

For services whose writes leave no natural trace of their request; the ledger needs none, its operations are that trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column, LargeBinary, MetaData, Table, Text, Uuid, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP, insert

from shared.errors import RequestIdReused
from shared.requests import RequestKey

if TYPE_CHECKING:  # a service that only declares the table must not pay for it in memory
    from sqlalchemy.ext.asyncio import AsyncConnection


def request_log_table(metadata: MetaData) -> Table:
    """Declares the table `request_log` in the metadata's schema; its key begins with the actor, the distribution key."""
    return Table(
        "request_log",
        metadata,
        Column("actor", Text, primary_key=True),
        Column("request_id", Uuid, primary_key=True),
        Column("fingerprint", LargeBinary, nullable=False),
        Column("reply", JSONB),
        Column("created_at", TIMESTAMP(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    )


class RequestLog:
    """The log of one service.

    reply = await log.begin(connection, key)
    if reply is None:
        ...  # do it
        await log.finish(connection, key, reply)
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    async def begin(self, connection: AsyncConnection, key: RequestKey) -> Mapping[str, Any] | None:
        """Returns the reply if the request was answered before, None if it is new and ours to do in this transaction.

        A repeat that runs at the same time waits here until the first has committed or failed. Raises RequestIdReused.
        """
        row = {"actor": key.actor, "request_id": key.request_id, "fingerprint": key.fingerprint}
        claimed = await connection.execute(insert(self._table).values(row).on_conflict_do_nothing().returning(self._table.c.request_id))
        if claimed.first() is not None:
            return None
        return await self.find(connection, key)

    async def find(self, connection: AsyncConnection, key: RequestKey) -> Mapping[str, Any] | None:
        """Returns the reply if the request was answered before, None if it was not, and promises nothing. Raises RequestIdReused."""
        found = await connection.execute(select(self._table.c.fingerprint, self._table.c.reply).where(*self._is(key)))
        row = found.one_or_none()
        if row is None:
            return None
        if bytes(row.fingerprint) != key.fingerprint:
            raise RequestIdReused
        reply: Mapping[str, Any] = row.reply
        return reply

    async def finish(self, connection: AsyncConnection, key: RequestKey, reply: Mapping[str, Any]) -> None:
        """Stores the reply of a request that was begun in this transaction."""
        await connection.execute(update(self._table).where(*self._is(key)).values(reply=dict(reply)))

    def _is(self, key: RequestKey) -> tuple[Any, Any]:
        return self._table.c.actor == key.actor, self._table.c.request_id == key.request_id
