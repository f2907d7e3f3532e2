"""A service on real ports of this machine, for as long as a block lasts."""

from __future__ import annotations

import atexit
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import grpc

from shared.grpc.runtime import RunningService, ServiceParts, running


@dataclass(frozen=True, slots=True)
class ServedService:
    """A service that serves, and a plain channel to it that adds nothing to a call."""

    service: RunningService
    channel: grpc.aio.Channel
    metrics_address: str

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.service.port}"


@asynccontextmanager
async def served(parts: ServiceParts) -> AsyncIterator[ServedService]:
    """Serves the parts on free loopback ports, with its background work, until the block ends."""
    metrics_address = f"127.0.0.1:{free_port()}"
    parts = replace(parts, grpc_address="127.0.0.1:0", metrics_address=metrics_address, drain_s=0)
    async with running(parts) as service, grpc.aio.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        yield ServedService(service, channel, metrics_address)


def free_port() -> int:
    """Returns a port that nobody listens on now, for a server that starts a moment later.

    On Linux nobody else is given it until this process ends: the socket that is bound stays, and is in no listener's way.
    """
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(("127.0.0.1", 0))
    port: int = probe.getsockname()[1]
    if sys.platform == "linux":
        atexit.register(probe.close)
    else:
        probe.close()
    return port
