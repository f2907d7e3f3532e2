"""The generator against real gRPC servers."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from tests.benchmarks import http2_frames as h2
from tests.benchmarks.http2_connection import LoadFailed
from tests.benchmarks.http2_load import LoadResult, histogram_ms, load_process, percentile_ms, run_load

PATH = "/test.Echo/Call"


class Echo:
    """Remembers what it was asked, and answers the same, or with the status that the request names."""

    def __init__(self, *, answer: bytes | None = None, takes_s: float = 0) -> None:
        self.seen: Counter[bytes] = Counter()
        self.metadata: dict[str, Any] = {}
        self.remaining_s = 0.0
        self.running = self.running_most = 0
        self._answer = answer
        self._takes_s = takes_s

    async def serve(self, raw: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        self.seen[raw] += 1
        self.remaining_s = context.time_remaining()
        self.metadata = dict(context.invocation_metadata() or ())
        self.running += 1
        self.running_most = max(self.running, self.running_most)
        await asyncio.sleep(self._takes_s)
        self.running -= 1
        if raw.startswith(b"refuse "):
            await context.abort(grpc.StatusCode[raw.split()[1].decode()], "as you wish: ümlaut")
        return raw if self._answer is None else self._answer


@asynccontextmanager
async def echo_server(echo: Echo, *options: tuple[str, int]) -> AsyncIterator[str]:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0), *options])
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(echo.serve)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", {"Call": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def load(addresses: str | Sequence[str], bodies: Sequence[bytes], **limits: Any) -> LoadResult:
    """Runs a load in a thread, since the server is in this process."""
    return await asyncio.to_thread(run_load, addresses, PATH, "a-token", bodies, **{"connections": 2, "in_flight": 8} | limits)


def hang_up_on_one(listening: socket.socket) -> None:
    listening.accept()[0].close()


def numbered(count: int, text: bytes = b"body") -> list[bytes]:
    return [b"%s %d" % (text, number) for number in range(count)]


async def test_every_body_is_sent_once_and_every_answer_counted() -> None:
    echo = Echo()
    async with echo_server(echo) as address:
        result = await load(address, numbered(300))

    assert result.calls == 300
    assert result.errors_by_status == {}
    assert echo.seen == Counter(numbered(300))
    assert 0 < result.p50_ms <= result.p99_ms < 1000 * result.elapsed_s
    assert sum(calls for _, calls in result.histogram) == 300
    assert result.cpu_s > 0


async def test_calls_bring_the_token_and_a_deadline() -> None:
    echo = Echo()
    async with echo_server(echo) as address:
        await load(address, [b"x"])

    assert echo.metadata["authorization"] == "Bearer a-token"
    assert 9 < echo.remaining_s <= 10


async def test_failures_are_counted_by_status() -> None:
    bodies = [*numbered(10), *numbered(4, b"refuse ABORTED"), *numbered(3, b"refuse UNAUTHENTICATED")]
    async with echo_server(Echo()) as address:
        result = await load(address, bodies)

    assert (result.calls, result.errors_by_status) == (10, {"ABORTED": 4, "UNAUTHENTICATED": 3})


async def test_an_unknown_method_is_a_failure_too() -> None:
    async with echo_server(Echo()) as address:
        result = await asyncio.to_thread(run_load, address, "/test.Echo/Nothing", "t", numbered(5), connections=1, in_flight=1)

    assert result.errors_by_status == {"UNIMPLEMENTED": 5}


async def test_as_many_calls_are_in_flight_as_asked_for() -> None:
    echo = Echo(takes_s=0.01)
    async with echo_server(echo) as address:
        await load(address, numbered(60), connections=4, in_flight=10)

    assert echo.running_most == 10


async def test_a_load_ends_after_its_count_or_its_time() -> None:
    async with echo_server(Echo()) as address:
        counted = await load(address, numbered(1000), count=50)
        timed = await load(address, numbered(100_000), duration_s=0.2)

    assert counted.calls == 50
    assert 0 < timed.calls < 100_000
    assert 0.1 < timed.elapsed_s < 2


async def test_several_servers_share_the_load() -> None:
    one, two = Echo(), Echo()
    async with echo_server(one) as first, echo_server(two) as second:
        result = await load([first, second], numbered(200))

    assert result.calls == 200
    assert one.seen + two.seen == Counter(numbered(200))
    assert min(one.seen.total(), two.seen.total()) > 20


async def test_large_requests_wait_for_room_and_large_answers_are_given_it() -> None:
    echo = Echo(answer=b"y" * 100_000)
    bodies = [b"%d" % number + b"x" * 16_000 for number in range(300)]
    async with echo_server(echo) as address:
        result = await load(address, bodies, connections=1, in_flight=64)

    assert (result.calls, result.errors_by_status) == (300, {})
    assert echo.seen == Counter(bodies)


async def test_a_server_that_limits_the_calls_in_flight_is_obeyed() -> None:
    echo = Echo(takes_s=0.002)
    async with echo_server(echo, ("grpc.max_concurrent_streams", 3)) as address:
        result = await load(address, numbered(60), connections=1, in_flight=16)

    assert (result.calls, result.errors_by_status) == (60, {})
    assert echo.running_most <= 3


async def test_a_load_goes_on_when_the_server_ends_its_connections() -> None:
    echo = Echo(takes_s=0.001)
    async with echo_server(echo, ("grpc.max_connection_age_ms", 100), ("grpc.max_connection_age_grace_ms", 5000)) as address:
        result = await load(address, numbered(100_000), duration_s=0.7)

    assert result.errors_by_status == {}
    assert echo.seen == Counter(numbered(result.calls))
    assert result.elapsed_s > 0.5


async def test_a_server_that_pings_is_answered_while_a_call_takes_long() -> None:
    echo = Echo(takes_s=0.5)
    async with echo_server(echo, ("grpc.keepalive_time_ms", 50), ("grpc.keepalive_timeout_ms", 100)) as address:
        result = await load(address, numbered(2), connections=1, in_flight=1)

    assert result.calls == 2


def test_requests_that_the_socket_does_not_take_at_once_are_sent_when_it_does() -> None:
    """A server that reads slowly, in bits, what is sent in one go."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        threading.Thread(target=answer_one_connection, args=[listening]).start()
        bodies = [bytes([number]) * 16_000 for number in range(200)]
        result = run_load(f"127.0.0.1:{listening.getsockname()[1]}", PATH, "t", bodies, connections=1, in_flight=200)

    assert (result.calls, result.errors_by_status) == (200, {})


def answer_one_connection(listening: socket.socket) -> None:
    """Speaks just enough HTTP/2 to answer OK to each call whose body is all of one kind of byte, and NOT_FOUND to others."""
    connection = listening.accept()[0]
    with connection, connection.makefile("rb") as reader:
        connection.sendall(h2.settings({}) + h2.window_update(0, 1 << 30))
        reader.read(len(h2.PREFACE))
        while head := reader.read(h2.FRAME_HEADER_SIZE):
            word, _, stream = h2.FRAME_HEADER.unpack(head)
            payload = reader.read(word >> 8)
            if word & 0xFF == h2.DATA:
                code = b"0" if len(set(payload[5:])) == 1 else b"5"
                connection.sendall(h2.frame(h2.HEADERS, h2.END_STREAM | h2.END_HEADERS, stream, b"\x00\x0bgrpc-status\x01" + code))


def test_a_server_that_hangs_up_fails_the_load() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=hang_up_on_one, args=[listening]).start()
        with pytest.raises((LoadFailed, ConnectionError)):
            run_load(f"127.0.0.1:{listening.getsockname()[1]}", PATH, "t", [b"x"], connections=1, in_flight=1)


async def test_a_load_can_have_a_process_of_its_own() -> None:
    async with echo_server(Echo()) as address:
        with load_process() as run:
            result = await asyncio.to_thread(run, address, PATH, "t", numbered(100), connections=2, in_flight=32, count=60)

    assert result.calls == 60


def test_percentiles_and_buckets() -> None:
    latencies_s = [number / 1000 for number in range(1, 101)]

    assert (percentile_ms(latencies_s, 0.50), percentile_ms(latencies_s, 0.99), percentile_ms([], 0.5)) == (50, 99, 0)
    assert histogram_ms([0.001, 0.002, 0.002, 0.0021]) == [(1.0, 1), (2.0, 2), (2 ** (5 / 4), 1)]
