"""Runs the edge: opens its port last, and on SIGTERM or SIGINT closes it in the order that loses nothing.

Drain: not ready -> wait, so that callers notice -> stop accepting -> let requests end -> close the channels to the services.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog
import uvloop
from aiohttp import web
from prometheus_client import CollectorRegistry

from services.gateway.entrypoints.http.connections import Connections
from services.gateway.entrypoints.http.middleware import Reception
from services.gateway.entrypoints.http.protocol import EdgeProtocol
from shared.grpc.runtime import stop_on_signals
from shared.observability.probes import ProbeServer

log = structlog.get_logger()

STOP_GRACE_S = 20.0
BACKLOG = 512
HEADERS_MAX = 64
# How long the rest of a body is thrown away, so that its sender gets to read the answer before the connection closes.
LINGERING_S = 2.0


@dataclass(frozen=True, slots=True)
class EdgeParts:
    """What makes the edge. `channels` are closed after the last request has ended."""

    run_address: str
    metrics_address: str
    drain_s: float
    idle_limit_s: float
    application: web.Application
    reception: Reception
    connections: Connections
    registry: CollectorRegistry
    channels: Sequence[AbstractAsyncContextManager[Any]]


def serve(make_parts: Callable[[], EdgeParts]) -> None:
    """Runs the edge until SIGTERM or SIGINT, on one uvloop loop. Blocks. The parts are made on that loop: channels belong to one."""
    uvloop.run(_serve_until_signal(make_parts))


async def _serve_until_signal(make_parts: Callable[[], EdgeParts]) -> None:
    stop = stop_on_signals()
    async with running(make_parts()):
        await stop.wait()


@asynccontextmanager
async def running(parts: EdgeParts) -> AsyncIterator[int]:
    """Serves inside the block, which gets the port that was bound; drains at its end."""
    async with AsyncExitStack() as stack:
        for channel in parts.channels:
            await stack.enter_async_context(channel)
        runner = web.AppRunner(parts.application, access_log=None, shutdown_timeout=STOP_GRACE_S)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await stack.enter_async_context(_watching(parts.connections))
        ready = False
        probes = ProbeServer(parts.metrics_address, parts.registry, lambda: ready)
        await probes.start()
        stack.push_async_callback(probes.stop)
        server = await _listen(parts, runner)
        ready = True
        port: int = server.sockets[0].getsockname()[1]
        log.info("serving", http=f"{parts.run_address.rpartition(':')[0]}:{port}", metrics=parts.metrics_address)
        try:
            yield port
        finally:
            ready = False
            parts.reception.draining = True
            await asyncio.sleep(parts.drain_s)
            server.close()
            await runner.cleanup()  # lets requests end, STOP_GRACE_S at most; a second time it does nothing
            log.info("drained")


async def _listen(parts: EdgeParts, runner: web.AppRunner) -> asyncio.Server:
    """Opens the port. Raises OSError if it is taken."""
    host, _, port = parts.run_address.rpartition(":")
    server, loop = runner.server, asyncio.get_running_loop()
    assert server is not None

    def make_protocol() -> asyncio.Protocol:
        protocol = EdgeProtocol(
            server,
            parts.reception.answer_error,
            loop=loop,
            access_log=None,  # Reception writes it
            auto_decompress=False,  # Bodies does it
            keepalive_timeout=parts.idle_limit_s,
            lingering_time=LINGERING_S,
            max_headers=HEADERS_MAX,
        )
        return parts.connections.wrap(protocol)

    return await loop.create_server(make_protocol, host.strip("[]") or None, int(port), backlog=BACKLOG)


@asynccontextmanager
async def _watching(connections: Connections) -> AsyncIterator[None]:
    task = asyncio.create_task(connections.watch())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
