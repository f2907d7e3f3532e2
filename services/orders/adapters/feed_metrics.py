"""What is measured of the feed. The figure is the fleet's, read from the database: the same in every replica."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from shared.postgres.errors import PostgresConflicts


class FeedMetrics:
    def __init__(self, registry: CollectorRegistry, conflicts: PostgresConflicts) -> None:
        self._conflicts = conflicts
        self._lag = Gauge("orders_feed_lag_seconds", "Age of the oldest event that watchers can't be told of yet.", registry=registry)

    def lagged(self, lag_s: float) -> None:
        self._lag.set(lag_s)

    def failed(self, error: Exception) -> None:
        self._conflicts.seen(error)
