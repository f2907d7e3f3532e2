"""The simulator on a port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from deploy.local.payment_sim.app import create_app
from deploy.local.payment_sim.simulator import Simulator
from shared.clock import Clock


@asynccontextmanager
async def listening(simulator: Simulator, host: str, port: int, *, clock: Clock, grace_s: float = 1.0) -> AsyncIterator[int]:
    """Serves the simulator and yields its port, a free one if `port` is 0; at the end running requests get `grace_s` to finish.

    Raises OSError if the port is taken.
    """
    runner = web.AppRunner(create_app(simulator, clock=clock), access_log=None, shutdown_timeout=grace_s)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield site.port
    finally:
        await runner.cleanup()
