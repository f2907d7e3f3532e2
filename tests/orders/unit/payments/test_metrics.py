"""What is counted of payments."""

from __future__ import annotations

from datetime import timedelta

from prometheus_client import CollectorRegistry

from services.orders.adapters.payment_metrics import PaymentMetrics
from services.orders.application.payments.observer import UnderWay
from services.orders.domain.payments.model import RefundState


def test_messages_refunds_and_what_is_under_way_are_told() -> None:
    registry = CollectorRegistry()
    metrics = PaymentMetrics(registry)
    metrics.outcome_unknown()
    metrics.message_came(timedelta(seconds=3), is_new=True)
    metrics.message_came(timedelta(hours=1), is_new=False)
    metrics.message_came(timedelta(seconds=-1), is_new=True)  # the provider's clock is not ours
    metrics.message_rejected()
    metrics.messages_missed(4)
    metrics.refund_ended(RefundState.FAILED)
    metrics.under_way(UnderWay(5, 6, timedelta(seconds=7), timedelta(seconds=8)))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("payments_outcome_unknown_total") == 1
    outcomes = [value("payments_webhooks_total", outcome=outcome) for outcome in ("new", "duplicate", "rejected", "missed")]
    assert outcomes == [2, 1, 1, 4]
    assert (value("payments_webhook_lag_seconds_count"), value("payments_webhook_lag_seconds_sum")) == (2, 3)
    assert value("payments_refunds_total", state="FAILED") == 1
    gauges = ("payments_pending", "payments_quarantined", "payments_saga_age_seconds", "payments_refund_age_seconds")
    assert [value(name) for name in gauges] == [5, 6, 7, 8]
