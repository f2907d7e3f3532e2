"""The one builder of gRPC servers: the only place where server options are set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

# Connections end after a while so that clients resolve again and find new replicas (grpc/grpc#12295).
OPTIONS = (
    ("grpc.max_connection_age_ms", 300_000),
    ("grpc.max_connection_age_grace_ms", 30_000),
    ("grpc.max_connection_idle_ms", 900_000),
    ("grpc.server_handshake_timeout_ms", 5_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 30_000),
    ("grpc.max_receive_message_length", 1 << 20),
    ("grpc.max_metadata_size", 16 << 10),
    # A second server on the port is a mistake that must be seen.
    ("grpc.so_reuseport", 0),
)

AddServicer = Callable[[grpc.aio.Server], None]


def make_server(
    services: Iterable[ServiceDescriptor],
    servicers: Sequence[AddServicer],
    interceptor: grpc.aio.ServerInterceptor,
    health_servicer: health.aio.HealthServicer,
) -> grpc.aio.Server:
    """Returns a server, not started, with the servicers, health and reflection."""
    server = grpc.aio.server(interceptors=[interceptor], options=OPTIONS)
    by_name = cast("grpc.aio.Server", _ByName(server))
    for add in servicers:
        add(by_name)
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, by_name)
    names = [service.full_name for service in services]
    reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    return server


class _ByName:
    """Takes handlers to be found by the name of the method, and leaves out registering each method.

    grpc.aio waits for one call of each registered method, and begins to wait for all of them anew with each call: a sixth of what a call
    costs a service of thirty methods.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._served = server

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        self._served.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, _service: str, _handlers: Mapping[str, Any]) -> None:
        """Nothing: they are among the generic ones, too."""
