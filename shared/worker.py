"""Runs a service's background work alone, beside the processes that serve it: no gRPC port, the probes and a clean end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
import uvloop

from shared.grpc.health import CHECK_EVERY_S, CHECK_LIMIT_S
from shared.grpc.runtime import STOP_GRACE_S, ServiceParts, stop_on_signals
from shared.observability.probes import ProbeServer
from shared.tasks import end_tasks, going_on

log = structlog.get_logger()


def work(parts: ServiceParts) -> None:
    """Runs the parts' background work until SIGTERM or SIGINT, on one uvloop loop. Blocks."""
    uvloop.run(_work_until_signal(parts))


async def _work_until_signal(parts: ServiceParts) -> None:
    stop = stop_on_signals()
    async with working(parts) as tasks:
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
        ended = done - {stopped}
        if ended:
            raise SystemExit(f"{parts.name}: background work ended: {next(iter(ended)).exception()!r}")


@asynccontextmanager
async def working(parts: ServiceParts) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Works inside the block; lets what is under way end, then closes the resources."""
    async with AsyncExitStack() as stack:
        for resource in parts.resources:
            await stack.enter_async_context(resource)
        readiness = _Readiness(parts)
        probes = ProbeServer(parts.metrics_address, parts.registry, lambda: readiness.ready)
        await probes.start()
        stack.push_async_callback(probes.stop)
        tasks = [asyncio.create_task(part()) for part in (readiness.watch, *parts.background)]
        log.info("working", metrics=parts.metrics_address)
        try:
            yield tasks
        finally:
            await end_tasks(tasks, patience_s=STOP_GRACE_S)
            log.info("worker stopped")


class _Readiness:
    """Whether our own database answers."""

    def __init__(self, parts: ServiceParts) -> None:
        self._check = parts.check_database
        self.ready = False

    async def watch(self) -> None:
        """Runs until cancelled."""
        while going_on():
            self.ready = await self._is_well()
            await asyncio.sleep(CHECK_EVERY_S)

    async def _is_well(self) -> bool:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CHECK_LIMIT_S):
                await self._check()
                return True
        return False
