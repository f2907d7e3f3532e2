"""What is measured of payments and refunds."""

from __future__ import annotations

from datetime import timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.orders.application.payments.observer import UnderWay
from services.orders.domain.payments.model import RefundState

LAG_BUCKETS = (0.1, 0.5, 1, 5, 15, 60, 5 * 60, 30 * 60, 3600, 6 * 3600, 86400, 3 * 86400)


class PaymentMetrics:
    """Counters are of this process; gauges are read from the database and the same in every replica."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._unknown = Counter(
            "payments_outcome_unknown_total",
            "Steps that provider or ledger gave no answer to and that will be repeated.",
            registry=registry,
        )
        self._messages = Counter(
            "payments_webhooks_total",
            "Messages of the provider: new, duplicate (stored before), rejected (not its own), missed (fetched, since they never came).",
            ["outcome"],
            registry=registry,
        )
        self._lag = Histogram(
            "payments_webhook_lag_seconds", "How long after they were made messages came.", buckets=LAG_BUCKETS, registry=registry
        )
        self._refunds = Counter("payments_refunds_total", "Refunds that came to their end.", ["state"], registry=registry)
        self._elsewhere = Counter(
            "payments_refunds_elsewhere_total",
            "Messages about refunds that somebody made at the provider itself.",
            registry=registry,
        )
        self._pending = Gauge("payments_pending", "Payments that wait for the provider or whose outcome is not known.", registry=registry)
        self._quarantined = Gauge("payments_quarantined", "Payments that people have to look at.", registry=registry)
        self._stuck = Gauge(
            "payments_saga_age_seconds",
            "How long the payment that is stuck longest has not moved, though it waits for no person.",
            registry=registry,
        )
        self._oldest_refund = Gauge("payments_refund_age_seconds", "Age of the oldest refund that is not through.", registry=registry)

    def outcome_unknown(self) -> None:
        self._unknown.inc()

    def message_came(self, lag: timedelta, *, is_new: bool) -> None:
        self._messages.labels("new" if is_new else "duplicate").inc()
        if is_new:
            self._lag.observe(max(0.0, lag.total_seconds()))

    def message_rejected(self) -> None:
        self._messages.labels("rejected").inc()

    def messages_missed(self, count: int) -> None:
        self._messages.labels("missed").inc(count)

    def refund_ended(self, state: RefundState) -> None:
        self._refunds.labels(state.name).inc()

    def refunded_elsewhere(self) -> None:
        self._elsewhere.inc()

    def under_way(self, found: UnderWay) -> None:
        self._pending.set(found.pending)
        self._quarantined.set(found.quarantined)
        self._stuck.set(found.stuck.total_seconds())
        self._oldest_refund.set(found.oldest_refund.total_seconds())
