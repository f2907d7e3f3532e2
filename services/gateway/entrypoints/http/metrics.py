"""What the edge measures about its requests and connections."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, Histogram

from shared.observability.metrics import CALL_BUCKETS


class HttpMetrics:
    """Requests by route template, method and status: how long they took, and how many are running."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.duration = Histogram(
            "http_server_request_duration_seconds",
            "How long requests took, from their head to their answer.",
            ["route", "method", "status"],
            buckets=CALL_BUCKETS,
            registry=registry,
        )
        self.in_flight = Gauge("http_server_requests_in_flight", "Requests that are running.", registry=registry)
        self.connections = Gauge("http_server_connections", "Open connections.", registry=registry)
