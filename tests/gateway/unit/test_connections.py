"""The watch over connections, with a clock of its own."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import Gauge

from services.gateway.entrypoints.http.connections import TURNED_AWAY, ConnectionLimits, Connections


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.aborted = True


class Inner(asyncio.Protocol):
    def __init__(self) -> None:
        self.events: list[object] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.events.append("made")

    def data_received(self, data: bytes) -> None:
        self.events.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost")


class Watched:
    """A connection, and the clock that its watch looks at."""

    def __init__(self, connections_max: int = 10) -> None:
        self.now = 0.0
        self.gauge = Gauge("connections", "For the test.", registry=None)
        limits = ConnectionLimits(connections_max, head_s=10, write_s=20)
        self.connections = Connections(limits, self.gauge, monotonic=lambda: self.now)

    def open(self) -> tuple[Transport, Inner, asyncio.Protocol]:
        transport, inner = Transport(), Inner()
        protocol = self.connections.wrap(inner)
        protocol.connection_made(transport)
        return transport, inner, protocol

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.connections.end_late_ones()


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_silent_connection_is_ended(watched: Watched) -> None:
    transport, _, _ = watched.open()
    watched.pass_time(10)
    assert not transport.aborted
    watched.pass_time(0.1)
    assert transport.aborted


def test_a_head_that_arrives_drop_by_drop_is_ended(watched: Watched) -> None:
    transport, inner, protocol = watched.open()
    for _ in range(11):
        protocol.data_received(b"G")
        watched.pass_time(1)
    assert transport.aborted
    assert inner.events == ["made", *[b"G"] * 11]


def test_a_request_may_take_its_time_and_the_connection_may_idle_after_it(watched: Watched) -> None:
    transport, _, protocol = watched.open()
    protocol.data_received(b"GET")
    watched.connections.request_began(transport)
    watched.pass_time(100)
    protocol.data_received(b"more of the body")
    watched.pass_time(100)
    watched.connections.request_ended(transport)
    watched.pass_time(100)
    assert not transport.aborted


def test_the_head_of_the_next_request_is_timed_too(watched: Watched) -> None:
    transport, _, protocol = watched.open()
    watched.connections.request_began(transport)
    watched.connections.request_ended(transport)
    watched.pass_time(100)
    protocol.data_received(b"P")
    watched.pass_time(10.1)
    assert transport.aborted


def test_an_answer_that_is_not_taken_ends_the_connection(watched: Watched) -> None:
    transport, _inner, protocol = watched.open()
    watched.connections.request_began(transport)
    protocol.pause_writing()
    watched.pass_time(19)
    protocol.resume_writing()
    watched.pass_time(19)
    assert not transport.aborted
    protocol.pause_writing()
    watched.pass_time(20.1)
    assert transport.aborted


def test_a_connection_that_can_not_be_closed_is_cut(watched: Watched) -> None:
    transport, _, _ = watched.open()
    watched.connections.request_began(transport)
    transport.close()
    watched.pass_time(1)
    assert not transport.aborted
    watched.pass_time(20.1)
    assert transport.aborted


def test_too_many_connections_are_turned_away_until_one_ends() -> None:
    watched = Watched(connections_max=1)
    _, _, first = watched.open()
    transport, inner, second = watched.open()
    second.data_received(b"GET / HTTP/1.1")
    second.connection_lost(None)

    assert (transport.written, transport.closed, inner.events) == (TURNED_AWAY, True, [])
    assert watched.gauge._value.get() == 1
    first.connection_lost(None)
    third, inner, _ = watched.open()
    assert (third.closed, inner.events) == (False, ["made"])
