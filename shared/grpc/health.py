"""Health: ready means that our own database answers. A peer's trouble is no reason to take this process out of service.

`grpc.health.v1` knows the names `` and each service (readiness), and `liveness`, which is SERVING as long as the process serves at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog
from grpc_health.v1 import health, health_pb2

from shared.tasks import going_on

log = structlog.get_logger()

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
LIVENESS = "liveness"
CHECK_EVERY_S = 1.0
CHECK_LIMIT_S = 2.0
# One slow answer is weather: a ready process stays so until the second in a row.
FAILURES_BEFORE_UNREADY = 2

# Raises if the database does not answer.
CheckDatabase = Callable[[], Awaitable[None]]


class Health:
    """Asks the database every second and tells the health service what it found."""

    def __init__(self, servicer: health.aio.HealthServicer, names: Sequence[str], check: CheckDatabase) -> None:
        self._servicer = servicer
        self._names = ("", *names)
        self._check = check
        self._draining = False
        self.ready = False

    async def begin(self) -> None:
        """Has every name known before anybody can ask: alive, and not ready until the database has answered."""
        await self._servicer.set(LIVENESS, SERVING)
        await self._set(well=False)

    async def watch(self) -> None:
        """Runs until cancelled."""
        failures = FAILURES_BEFORE_UNREADY
        while going_on():
            failures = 0 if await self._is_well() else failures + 1
            await self._set(well=failures < FAILURES_BEFORE_UNREADY)
            await asyncio.sleep(CHECK_EVERY_S)

    async def drain(self) -> None:
        """Says NOT_SERVING from now on, so that callers go elsewhere before the port closes."""
        self._draining = True
        self.ready = False
        await self._servicer.enter_graceful_shutdown()

    async def _is_well(self) -> bool:
        try:
            async with asyncio.timeout(CHECK_LIMIT_S):
                await self._check()
        except Exception as error:  # noqa: BLE001  whatever is wrong with the database, the answer is: not ready
            log.warning("database check failed", error=repr(error))
            return False
        return True

    async def _set(self, *, well: bool) -> None:
        if self._draining:
            return
        self.ready = well
        for name in self._names:
            await self._servicer.set(name, SERVING if well else NOT_SERVING)
