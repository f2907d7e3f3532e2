"""The balance service as a process of its own, which may be killed and started again at the same address."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from services.balance.settings import BalanceSettings
from shared.testing.servers import free_port

START_LIMIT_S = 60.0
# Tests are about what happens when a server is back, not about how long gRPC waits before it looks.
IMPATIENT = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
)


class LedgerProcess:
    """One server at a time; what all of them wrote is in `log`."""

    def __init__(self, settings: BalanceSettings, log: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        own = settings.model_copy(update={"grpc_address": self.address, "metrics_address": f"127.0.0.1:{free_port()}"})
        self._environment = {name.upper(): str(value) for name, value in own.model_dump(exclude_none=True).items()}
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "it was not started"
        return self._process

    async def start(self) -> None:
        """Returns when it answers. Raises AssertionError with the end of its log if it does not."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "services.balance", "serve", env=self._environment, stdout=log, stderr=log
            )  # fmt: skip
        async with self.channel() as channel:
            ready, ended = asyncio.ensure_future(channel.channel_ready()), asyncio.ensure_future(self.process.wait())
            await asyncio.wait({ready, ended}, timeout=START_LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
            started = ready.done() and not ended.done()
            for waiting in (ready, ended):
                waiting.cancel()
            await asyncio.wait({ready, ended})
        assert started, self._log.read_text(errors="replace")[-2000:]

    async def kill(self) -> None:
        """Ends it as `kill -9` does."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    def channel(self) -> grpc.aio.Channel:
        """Returns a channel that finds the next server soon after the last one died."""
        return grpc.aio.insecure_channel(self.address, options=IMPATIENT)

    def errors(self) -> Sequence[str]:
        """Returns the lines of errors that nobody expected."""
        return [line for line in self._log.read_text(errors="replace").splitlines() if "unexpected error" in line]


@asynccontextmanager
async def ledger_process(settings: BalanceSettings, log: Path) -> AsyncIterator[LedgerProcess]:
    """A server for as long as the block lasts, unless somebody kills it."""
    process = LedgerProcess(settings, log)
    await process.start()
    try:
        yield process
    finally:
        await process.kill()
