"""`python -m services.orders` as a process of its own, which a test may have end itself at a named place."""

from __future__ import annotations

import asyncio
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.orders.settings import OrdersSettings
from shared.faults import KILLED
from shared.testing.servers import free_port
from tests.orders.shop import eventually

START_LIMIT_S = 60.0


@dataclass(frozen=True)
class OrdersProcess:
    """A process that serves or works."""

    process: asyncio.subprocess.Process
    address: str
    metrics_address: str

    async def serves(self) -> None:
        """Waits until it is ready. Raises AssertionError at once if it can't be."""

        async def look() -> bool:
            assert self.process.returncode is None, "the process has ended"
            return await asyncio.to_thread(_is_ready, self.metrics_address)

        await eventually(look, within_s=START_LIMIT_S)

    async def was_killed(self) -> bool:
        """Waits for its end; returns whether that was at the place that it was told."""
        return await asyncio.wait_for(self.process.wait(), START_LIMIT_S) == KILLED


@asynccontextmanager
async def orders_process(command: str, settings: OrdersSettings, *, fault_at: str, address: str = "") -> AsyncIterator[OrdersProcess]:
    """Runs `serve` or `worker` until the block ends; at a free port unless an address is given."""
    own, metrics_address = (f"127.0.0.1:{free_port()}" for _ in range(2))
    address = address or own
    environment = _environment(settings, grpc_address=address, metrics_address=metrics_address, fault_at=fault_at)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.orders", command, env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield OrdersProcess(process, address, metrics_address)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _environment(settings: OrdersSettings, **changes: str) -> Mapping[str, str]:
    given = settings.model_dump(exclude_none=True) | {"log_format": "json", "drain_s": 0} | changes
    return {name.upper(): str(value) for name, value in given.items()}


def _is_ready(metrics_address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{metrics_address}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
