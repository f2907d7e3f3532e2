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
    return grpc.aio.insecure_channel(f"dns:///{address}", options=options, interceptors=[_Identify(credentials)])


def token_file(path: Path | None) -> Credentials:
    """Reads a token anew for each call, so that it can be rotated; a file of some hundred bytes stays in the page cache."""

    def read() -> str | None:
        return f"Bearer {path.read_text().strip()}" if path else None

    return read


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


class _Identify(grpc.aio.UnaryUnaryClientInterceptor):
    """Adds who calls and which trace it belongs to."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def intercept_unary_unary(self, continuation: Any, client_call_details: grpc.aio.ClientCallDetails, request: Any) -> Any:
        metadata = grpc.aio.Metadata(*(client_call_details.metadata or ()))
        for key, value in (("authorization", self._credentials()), (TRACEPARENT, traceparent())):
            if value is not None and metadata.get(key) is None:
                metadata.add(key, value)
        details = grpc.aio.ClientCallDetails(
            method=client_call_details.method,
            timeout=client_call_details.timeout,
            metadata=metadata,
            credentials=client_call_details.credentials,
            wait_for_ready=client_call_details.wait_for_ready,
        )
        return await continuation(details, request)
