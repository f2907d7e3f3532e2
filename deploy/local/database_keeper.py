"""The stack's PostgreSQL, kept running like the other programs but stopped last."""

import asyncio
import contextlib

from deploy.local.merged_log import MergedLog
from deploy.local.postgres import EmbeddedPostgres
from deploy.local.postgres_binaries import PostgresUnusable

POLL_S = 0.2
RETRY_S = 2.0


class DatabaseKeeper:
    """Starts the server, starts it again when it dies, stops it. The server's own calls block, so they run in a thread."""

    def __init__(self, server: EmbeddedPostgres, log: MergedLog) -> None:
        self._server = server
        self._log = log
        self._starting: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when the server accepts connections. Raises PostgresUnusable."""
        self._starting = asyncio.create_task(asyncio.to_thread(self._server.start))
        await asyncio.shield(self._starting)  # a start that nobody waits for any more must still end before it can be undone
        self._keeper = asyncio.create_task(self._keep_running())

    async def stop(self) -> None:
        """Stop the server; sessions that are still open are ended."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
        if self._starting:
            with contextlib.suppress(PostgresUnusable):
                await self._starting
            await asyncio.to_thread(self._server.stop)

    async def _keep_running(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            if self._server.running:
                continue
            self._log.say("PostgreSQL has ended unexpectedly; it is started again")
            self._starting = asyncio.create_task(asyncio.to_thread(self._server.start))
            try:
                await asyncio.shield(self._starting)
                self._log.say("PostgreSQL is running again")
            except PostgresUnusable as error:
                self._log.say(str(error))
                await asyncio.sleep(RETRY_S)
