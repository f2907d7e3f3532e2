"""The queue's own connections: each statement is one round trip and its own transaction.

A worker runs three statements for a job. With a transaction around each, and a question before it whether the server is still there, they
would be four times as many round trips, and most of what a job costs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from procrastinate import PsycopgConnector
from procrastinate.connector import Notify
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from shared.jobs.limits import CONNECTIONS_MAX
from shared.postgres.pool import Connection, LivePool

# Whoever added a job waits for an answer of its own on the same machine, and a worker has no hurry.
GATHER_S = 0.02


class _GatheringConnector(PsycopgConnector):
    """Tells a worker a moment after the first of many new jobs, once: one look finds them all.

    Whatever else it is told meanwhile is dropped: a worker has one queue, and no job is aborted.
    """

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        telling: set[asyncio.Task[None]] = set()

        async def tell(channel: str, payload: str) -> None:
            await asyncio.sleep(GATHER_S)
            await on_notification(channel=channel, payload=payload)

        async def gather(*, channel: str, payload: str) -> None:
            if not telling:
                task = asyncio.create_task(tell(channel, payload))
                telling.add(task)
                task.add_done_callback(telling.discard)

        try:
            await super().listen_notify(on_notification=gather, channels=channels)
        finally:
            for task in telling:
                task.cancel()


def make_connector(conninfo: str) -> PsycopgConnector:
    """Returns what procrastinate asks the database through; it connects when it is opened."""
    return _GatheringConnector(
        conninfo=_without_waiting(conninfo), min_size=1, max_size=CONNECTIONS_MAX, configure=_commit_each, pool_factory=_make_pool
    )


def _without_waiting(conninfo: str) -> str:
    """Returns the connection string for what the worker notes of jobs: its commits need not reach the disk at once.

    A crash of PostgreSQL may forget that a job was fetched or done, and the job runs again, even beside itself, as jobs must bear. Adding
    one is a matter of the transaction that adds it.
    """
    given = conninfo_to_dict(conninfo).get("options") or ""
    return make_conninfo(conninfo, options=f"{given} -c synchronous_commit=off".strip())


async def _commit_each(connection: Connection) -> None:
    await connection.set_autocommit(True)


def _make_pool(**settings: Any) -> LivePool:
    return LivePool(**settings | {"check": None})
