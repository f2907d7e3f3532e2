"""What is measured of the provider and of the work that waits for it."""

from __future__ import annotations

from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.accrual.application.ports import Backlog
from services.accrual.domain.provider import Breaker, Provider

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class AccrualMetrics:
    """Gauges about the fleet are the same in every replica: they are read from the database."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answers = Counter(
            "accrual_provider_answers_total", "Requests to the provider by how they ended.", ["operation", "kind"], registry=registry
        )
        self._duration = Histogram(
            "accrual_provider_request_duration_seconds",
            "How long the provider took.",
            ["operation"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._available = Gauge("accrual_provider_available", "1 if requests may be sent to the provider now, else 0.", registry=registry)
        self._blocked = Gauge("accrual_provider_blocked_seconds", "For how long no request may be sent.", registry=registry)
        self._breaker = Gauge(
            "accrual_provider_breaker_state", "1 for the state that the circuit breaker is in.", ["state"], registry=registry
        )
        self._failures = Gauge("accrual_provider_consecutive_failures", "Failed requests in a row.", registry=registry)
        self._claims = Gauge("accrual_claims", "Unfinished claims.", ["phase"], registry=registry)
        self._oldest = Gauge("accrual_oldest_seconds", "How late the latest unfinished claim is.", ["phase"], registry=registry)
        self._credit_failures = Counter(
            "accrual_credit_failures_total", "Credits that failed and will be repeated.", ["reason"], registry=registry
        )

    def answered(self, operation: str, kind: str, took_s: float) -> None:
        self._answers.labels(operation, kind).inc()
        self._duration.labels(operation).observe(took_s)

    def provider_seen(self, provider: Provider, now: datetime) -> None:
        until = provider.silent_until(now)
        self._available.set(until is None)
        self._blocked.set(0 if until is None else (until - now).total_seconds())
        self._failures.set(provider.consecutive_failures)
        for state in Breaker:
            self._breaker.labels(state.name.lower()).set(state is provider.breaker)

    def backlog_seen(self, backlog: Backlog) -> None:
        self._claims.labels("pending").set(backlog.pending)
        self._claims.labels("settling").set(backlog.settling)
        self._oldest.labels("pending").set(backlog.oldest_due_s)
        self._oldest.labels("settling").set(backlog.oldest_settling_s)

    def credit_failed(self, reason: str) -> None:
        self._credit_failures.labels(reason).inc()
