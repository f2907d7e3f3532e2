"""The open loop sends what is due whether or not there were answers, and counts from when it was due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import grpc

from tests.benchmarks.open_loop import OpenLoop, open_loop

PATH = "/test.Slow/Call"


@asynccontextmanager
async def slow_server(seconds: float, code: grpc.StatusCode = grpc.StatusCode.OK) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Answers each call after so many seconds; yields its address and what it was sent."""
    got: list[bytes] = []

    async def call(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        got.append(request)
        await asyncio.sleep(seconds)
        if code is not grpc.StatusCode.OK:
            await context.abort(code, "no")
        return b""

    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("test.Slow", {"Call": grpc.unary_unary_rpc_method_handler(call)}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}", got
    finally:
        await server.stop(0)


async def looped(address: str, count: int, per_s: float) -> OpenLoop:
    bodies = [str(number).encode() for number in range(count)]
    return await asyncio.to_thread(partial(open_loop, address, PATH, "token", bodies, per_s=per_s))


async def test_calls_are_sent_when_they_are_due_and_not_when_the_one_before_is_answered() -> None:
    async with slow_server(0.5) as (address, got):
        began = time.perf_counter()
        loop = await looped(address, 20, per_s=100)
        took_s = time.perf_counter() - began

    assert sorted(got, key=int) == [str(number).encode() for number in range(20)]
    assert len(loop.latencies_s) == 20
    assert min(loop.latencies_s) >= 0.5
    assert took_s < 20 * 0.5 / 2


async def test_calls_that_fail_are_told_and_not_counted() -> None:
    async with slow_server(0, grpc.StatusCode.UNAVAILABLE) as (address, _):
        loop = await looped(address, 3, per_s=100)

    assert (loop.latencies_s, loop.failures) == ([], ["UNAVAILABLE: no"] * 3)


async def test_rates_are_kept() -> None:
    async with slow_server(0) as (address, _):
        loop = await looped(address, 10, per_s=20)

    assert loop.elapsed_s >= 9 / 20
