"""What every server measures about its calls."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# Seconds; the buckets of OpenTelemetry's RPC conventions, with two finer ones for calls of about a millisecond.
CALL_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

# Calls of a batch.
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class RpcMetrics:
    """Calls by method and code, how long they took, and how many are running."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.duration = Histogram(
            "rpc_server_call_duration_seconds",
            "How long calls took.",
            ["rpc_method", "rpc_status_code"],
            buckets=CALL_BUCKETS,
            registry=registry,
        )
        self.started = Counter("rpc_server_calls_started_total", "Calls that began.", ["rpc_method"], registry=registry)
        # Finding a child by its labels costs more than counting in it, and methods and codes are few.
        self._started_of = cache(self.started.labels)
        self._duration_of = cache(self.duration.labels)
        self.in_flight = Gauge("rpc_server_calls_in_flight", "Unary calls and unfinished writes that are running.", registry=registry)
        self.streams = Gauge("rpc_server_streams_open", "Streams that are open.", registry=registry)

    def began(self, method: str) -> None:
        """Counts a call."""
        self._started_of(method).inc()

    def ended(self, method: str, code: str, took_s: float) -> None:
        """Counts and times a call that ended."""
        self._duration_of(method, code).observe(took_s)


class TaskMetrics:
    """Steps of background work by name and outcome, how long they took."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.duration = Histogram(
            "job_duration_seconds", "How long jobs took.", ["job", "outcome"], buckets=CALL_BUCKETS, registry=registry
        )


class BatchMetrics:
    """How a coalescer gathers calls into batches. Its metrics are named after it: `<name>_batch_calls`, `<name>_batch_calls_waiting`."""

    def __init__(self, registry: CollectorRegistry, name: str) -> None:
        self._size = Histogram(f"{name}_batch_calls", "Calls per batch.", buckets=BATCH_BUCKETS, registry=registry)
        self._waiting = Gauge(f"{name}_batch_calls_waiting", "Calls that wait for the next batch.", registry=registry)

    def watch(self, waiting: Callable[[], int]) -> None:
        self._waiting.set_function(waiting)

    def sent(self, size: int) -> None:
        self._size.observe(size)
