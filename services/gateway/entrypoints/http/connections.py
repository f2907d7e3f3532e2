"""Keeps connections from being used up by clients that open many, or take for ever to send or to read.

aiohttp limits neither: it waits as long as a connection lives. So each of its protocols is wrapped by one that notes since when the
client keeps us waiting, and a watch ends those that do so for too long.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import structlog
from prometheus_client import Gauge

log = structlog.get_logger()

TURNED_AWAY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """`head_s`: to send the head of a request. `write_s`: to take an answer."""

    connections_max: int
    head_s: float
    write_s: float


class Connections:
    """All connections of the edge."""

    def __init__(self, limits: ConnectionLimits, gauge: Gauge, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.limits = limits
        self.monotonic = monotonic
        self._gauge = gauge
        self._open: dict[asyncio.BaseTransport, WatchedConnection] = {}

    def wrap(self, protocol: asyncio.Protocol) -> asyncio.Protocol:
        """Returns the protocol of a new connection, which hands everything on to `protocol`."""
        return WatchedConnection(protocol, self)

    def add(self, transport: asyncio.BaseTransport, connection: WatchedConnection) -> bool:
        """Returns False if there are too many."""
        if len(self._open) >= self.limits.connections_max:
            return False
        self._open[transport] = connection
        self._gauge.set(len(self._open))
        return True

    def remove(self, transport: asyncio.BaseTransport) -> None:
        if transport in self._open:
            del self._open[transport]
            self._gauge.set(len(self._open))

    def request_began(self, transport: asyncio.BaseTransport | None) -> None:
        """Notes that the head of a request has arrived."""
        connection = self._open.get(transport) if transport else None
        if connection:
            connection.request_began()

    def request_ended(self, transport: asyncio.BaseTransport | None) -> None:
        connection = self._open.get(transport) if transport else None
        if connection:
            connection.request_ended()

    async def watch(self) -> None:
        """Runs until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.end_late_ones()

    def end_late_ones(self) -> None:
        for transport, connection in list(self._open.items()):
            if connection.is_late(transport):
                log.info("connection ended", why="the client keeps us waiting")
                connection.abort()


class WatchedConnection(asyncio.Protocol):
    """One connection, and since when its client keeps us waiting for what."""

    def __init__(self, inner: asyncio.Protocol, connections: Connections) -> None:
        self._inner = inner
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._admitted = False
        self._serving = False
        self._head_since: float | None = None
        self._write_since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A TCP server has no other transports; uvloop's don't inherit from the class.
        self._transport = stream = cast("asyncio.Transport", transport)
        self._admitted = self._connections.add(transport, self)
        if not self._admitted:
            stream.write(TURNED_AWAY)
            stream.close()
            return
        self._head_since = self._connections.monotonic()
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if not self._admitted:
            return
        if not self._serving and self._head_since is None:
            self._head_since = self._connections.monotonic()
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._admitted else None

    def pause_writing(self) -> None:
        self._write_since = self._connections.monotonic()
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._write_since = None
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._connections.remove(self._transport)
        if self._admitted:
            self._inner.connection_lost(exc)

    def request_began(self) -> None:
        self._serving, self._head_since = True, None

    def request_ended(self) -> None:
        self._serving = False

    def is_late(self, transport: asyncio.BaseTransport) -> bool:
        """Tells whether the client is late with the head of a request, with taking an answer, or with letting go."""
        now, limits = self._connections.monotonic(), self._connections.limits
        if transport.is_closing() and self._write_since is None:
            self._write_since = now  # what is left to be written keeps it open
        head_late = self._head_since is not None and now - self._head_since > limits.head_s
        return head_late or (self._write_since is not None and now - self._write_since > limits.write_s)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()
