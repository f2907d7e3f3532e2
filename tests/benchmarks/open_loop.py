"""Calls in an open loop: each is sent when it is due, whatever has become of those before, and its latency counts from that time on.

So a server that stops for a moment is charged with all that was due meanwhile, as its customers would.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import grpc

CALL_TIMEOUT_S = 10.0
LEAD_S = 0.1


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """What came of it. `latencies_s` of the calls that ended OK; `cpu_s` is what the generator itself used."""

    latencies_s: Sequence[float]
    failures: Sequence[str]
    elapsed_s: float
    cpu_s: float


def open_loop(address: str, path: str, token: str, bodies: Sequence[bytes], *, per_s: float) -> OpenLoop:
    """Makes unary calls of `path` with these serialised messages, at even distances. Blocks until the last answer."""
    return asyncio.run(_run(address, path, token, bodies, 1 / per_s))


async def _run(address: str, path: str, token: str, bodies: Sequence[bytes], distance_s: float) -> OpenLoop:
    latencies_s: list[float] = []
    failures: list[str] = []
    async with grpc.aio.insecure_channel(address) as channel:
        await channel.channel_ready()
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
        began, cpu_began_s = time.perf_counter() + LEAD_S, time.process_time()

        async def send(body: bytes, due: float) -> None:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            try:
                await call(body, metadata=(("authorization", f"Bearer {token}"),), timeout=CALL_TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                failures.append(f"{error.code().name}: {error.details()}")
            else:
                latencies_s.append(time.perf_counter() - due)

        await asyncio.gather(*(send(body, began + place * distance_s) for place, body in enumerate(bodies)))
    return OpenLoop(latencies_s, failures, time.perf_counter() - began, time.process_time() - cpu_began_s)
