"""python -m tests.benchmarks.echo

The least that a gRPC service in Python can be: grpc.aio and a handler that gives back the bytes it got. No chain, no message is read, one
task a call. What this takes, every such service takes. The settings are those that `served` gives.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import grpc
import uvloop
from prometheus_client import CollectorRegistry

from shared.grpc.runtime import stop_on_signals
from shared.grpc.server import OPTIONS
from shared.observability.probes import ProbeServer
from shared.processor import stay_on
from tests.benchmarks.ledger_data import SERVICE

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[bytes, bytes]


async def echo(request: bytes, _context: Context) -> bytes:
    return request


async def main() -> None:
    stop = stop_on_signals()
    server = grpc.aio.server(options=OPTIONS)
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {"WithdrawPoints": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE.strip("/"), handlers)])
    server.add_insecure_port(os.environ["GRPC_ADDRESS"])
    probes = ProbeServer(os.environ["METRICS_ADDRESS"], CollectorRegistry(), lambda: True)
    await server.start()
    await probes.start()
    await stop.wait()
    await probes.stop()
    await server.stop(None)


if __name__ == "__main__":
    if "PROCESSOR" in os.environ:
        stay_on(int(os.environ["PROCESSOR"]))
    uvloop.run(main())
