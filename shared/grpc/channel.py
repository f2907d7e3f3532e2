"""The one builder of channels to peers: deadlines, identity, trace, and retries only where a contract makes them safe."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from shared.grpc.contract import MethodContract, read_contracts
from shared.observability.tracing import TRACEPARENT, traceparent

OPTIONS = (
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.max_receive_message_length", 4 << 20),
    # A peer that comes back is found within a second; the default waits up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)

# Gives the value of `authorization`, or None to send none.
Credentials = Callable[[], str | None]


def make_channel(address: str, services: Iterable[ServiceDescriptor], credentials: Credentials) -> grpc.aio.Channel:
    """Returns a channel to `host:port`, connected when first used. Every call on it needs a timeout of its own: see `remaining_s`."""
    options = (*OPTIONS, ("grpc.service_config", service_config(services)))
    return _IdentifiedChannel(grpc.aio.insecure_channel(f"dns:///{address}", options=options), credentials)


def token_file(path: Path | None) -> Credentials:
    """Reads a token anew whenever its file has changed, so that it can be rotated."""
    read: tuple[tuple[int, int, int], str] | None = None

    def token() -> str | None:
        nonlocal read
        if path is None:
            return None
        state = path.stat()
        version = (state.st_mtime_ns, state.st_ino, state.st_size)
        if read is None or read[0] != version:
            read = version, f"Bearer {path.read_text().strip()}"
        return read[1]

    return token


def service_config(services: Iterable[ServiceDescriptor]) -> str:
    """Returns the JSON that makes calls spread over replicas, follow their health, and retry UNAVAILABLE.

    Everything of ours may be retried: reads have no effect, and writes carry a `request_id`. Login is neither, so it is not.
    """
    methods = [_name(contract) for contract in read_contracts(services).values() if _is_retryable(contract)]
    retry = {
        "maxAttempts": 4,
        "initialBackoff": "0.05s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    config: dict[str, Any] = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": ""},
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
        "methodConfig": [{"name": methods, "retryPolicy": retry}],
    }
    return json.dumps(config)


def _is_retryable(contract: MethodContract) -> bool:
    return not contract.public or contract.writes


def _name(contract: MethodContract) -> dict[str, str]:
    _, service, method = contract.path.split("/")
    return {"service": service, "method": method}


class _IdentifiedCalls(grpc.aio.UnaryUnaryMultiCallable[Any, Any]):
    """Adds who calls and which trace it belongs to. As an interceptor this would cost a task for each call."""

    def __init__(self, calls: grpc.aio.UnaryUnaryMultiCallable[Any, Any], credentials: Credentials) -> None:
        self._calls = calls
        self._credentials = credentials

    def __call__(self, request: Any, *, metadata: Any = None, **options: Any) -> grpc.aio.UnaryUnaryCall[Any, Any]:
        sent = grpc.aio.Metadata(*(metadata or ()))
        for key, value in (("authorization", self._credentials()), (TRACEPARENT, traceparent())):
            if value is not None and sent.get(key) is None:
                sent.add(key, value)
        return self._calls(request, metadata=sent, **options)


class _IdentifiedChannel(grpc.aio.Channel):
    """A channel whose unary calls are identified."""

    def __init__(self, channel: grpc.aio.Channel, credentials: Credentials) -> None:
        self._channel = channel
        self._credentials = credentials

    def unary_unary(self, *method: Any, **serialisation: Any) -> _IdentifiedCalls:
        return _IdentifiedCalls(self._channel.unary_unary(*method, **serialisation), self._credentials)

    def unary_stream(self, *method: Any, **serialisation: Any) -> grpc.aio.UnaryStreamMultiCallable[Any, Any]:
        return self._channel.unary_stream(*method, **serialisation)

    def stream_unary(self, *method: Any, **serialisation: Any) -> grpc.aio.StreamUnaryMultiCallable[Any, Any]:
        return self._channel.stream_unary(*method, **serialisation)

    def stream_stream(self, *method: Any, **serialisation: Any) -> grpc.aio.StreamStreamMultiCallable[Any, Any]:
        return self._channel.stream_stream(*method, **serialisation)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._channel.channel_ready()

    async def close(self, grace: float | None = None) -> None:
        await self._channel.close(grace)

    async def __aenter__(self) -> _IdentifiedChannel:
        await self._channel.__aenter__()
        return self

    async def __aexit__(self, *raised: Any) -> None:
        await self._channel.__aexit__(*raised)
