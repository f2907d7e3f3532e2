"""Remembers what writes that record no operation were answered; each statement runs in the transaction of the write itself.

`shared.postgres.request_log` for the connections that the ledger uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from shared.errors import RequestIdReused
from shared.requests import RequestKey

BEGIN = "insert into request_log (actor, request_id, fingerprint) values (%s, %s, %s) on conflict (actor, request_id) do nothing"
FIND = "select fingerprint, reply from request_log where actor = %s and request_id = %s"
FINISH = "update request_log set reply = %s where actor = %s and request_id = %s"


async def begin(connection: AsyncConnection[TupleRow], key: RequestKey) -> Mapping[str, Any] | None:
    """Returns the reply if the request was answered before, None if it is new and ours to do in this transaction.

    A repeat that runs at the same time waits here until the first has committed or failed. Raises RequestIdReused.
    """
    if (await connection.execute(BEGIN, [key.actor, key.request_id, key.fingerprint])).rowcount:
        return None
    row = await (await connection.execute(FIND, [key.actor, key.request_id])).fetchone()
    assert row is not None, "replies are never removed"
    fingerprint, reply = row
    if fingerprint != key.fingerprint:
        raise RequestIdReused
    answered: Mapping[str, Any] = reply
    return answered


async def finish(connection: AsyncConnection[TupleRow], key: RequestKey, reply: Mapping[str, Any]) -> None:
    """Stores the reply of a request that was begun in this transaction."""
    await connection.execute(FINISH, [Jsonb(dict(reply)), key.actor, key.request_id])
