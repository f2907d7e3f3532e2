"""The one builder of gRPC servers: the only place where server options are set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias, cast

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
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class Handlers(Protocol):
    """What serves calls in the place of the servicers' own handlers."""

    unknown: Handler
    """Serves calls of methods that do not exist."""

    def serving(self, path: str, inner: Handler) -> Handler:
        """Returns what serves the calls of a method, with the servicer's handler inside."""


def make_server(
    services: Iterable[ServiceDescriptor],
    servicers: Sequence[AddServicer],
    handlers: Handlers,
    health_servicer: health.aio.HealthServicer,
) -> grpc.aio.Server:
    """Returns a server, not started, with the servicers, health and reflection."""
    server = grpc.aio.server(options=OPTIONS)
    by_path = _ByPath(handlers)
    for add in servicers:
        add(cast("grpc.aio.Server", by_path))
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, by_path)
    names = [service.full_name for service in services]
    reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    server.add_generic_rpc_handlers([by_path])
    return server


class _ByPath(grpc.GenericRpcHandler):
    """Takes the servicers' handlers, and finds the one for a call in one look.

    grpc.aio waits for one call of each registered method, and begins to wait for all of them anew with each call: a sixth of what a call
    costs a service of thirty methods. An interceptor of its kind would be asked anew about each call, too.
    """

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._by_path: dict[str, Handler] = {}

    def add_generic_rpc_handlers(self, _handlers: Iterable[Any]) -> None:
        """Nothing: they are among the registered ones, too."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        for method, handler in handlers.items():
            path = f"/{service}/{method}"
            self._by_path[path] = self._handlers.serving(path, handler)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Handler:
        return self._by_path.get(handler_call_details.method, self._handlers.unknown)
