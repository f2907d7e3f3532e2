"""What is counted of orders."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from prometheus_client import CollectorRegistry
from psycopg.errors import DeadlockDetected

from services.orders.adapters.feed_metrics import FeedMetrics
from services.orders.adapters.metrics import OrdersMetrics
from services.orders.domain.inventory.shortage import ShortLine
from services.orders.domain.ordering.model import Order, State, Times
from shared.postgres.errors import PostgresConflicts
from tests.orders.unit.outside.test_notifications import NOW, READY


def in_state(state: State) -> Order:
    """An order that has come to each state an hour after the one before."""
    hours = [NOW + timedelta(hours=hour) for hour in range(1, 6)]
    times = Times(paid=hours[0], prepared=hours[1], ready=hours[2], sent=hours[3], finished=hours[4])
    return replace(READY, state=state, times=times, updated_at=NOW + timedelta(hours=9))


def test_changes_of_state_are_counted_with_the_time_spent_in_the_state_before() -> None:
    registry = CollectorRegistry()
    metrics = OrdersMetrics(registry, PostgresConflicts(registry))
    metrics.order_changed(in_state(State.READY), in_state(State.SHIPPED))
    metrics.order_changed(in_state(State.PENDING_PAYMENT), in_state(State.EXPIRED))
    metrics.order_changed(in_state(State.READY), in_state(State.READY))

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("orders_state_transitions_total", **{"from": "READY", "to": "SHIPPED"}) == 1
    assert value("orders_state_transitions_total", **{"from": "READY", "to": "READY"}) is None
    assert value("orders_time_in_state_seconds_sum", state="READY") == 6 * 3600
    assert value("orders_time_in_state_seconds_sum", state="PENDING_PAYMENT") == 9 * 3600


def test_a_deadlock_of_the_feed_is_counted_like_all_others() -> None:
    registry = CollectorRegistry()
    FeedMetrics(registry, PostgresConflicts(registry)).failed(DeadlockDetected())

    assert registry.get_sample_value("postgres_conflicts_total", {"kind": "deadlock"}) == 1


def test_every_state_can_be_left() -> None:
    registry = CollectorRegistry()
    metrics = OrdersMetrics(registry, PostgresConflicts(registry))
    for before in State:
        for after in State:
            metrics.order_changed(replace(READY, state=before), replace(READY, state=after))


def test_orders_shortages_holds_and_what_is_late_are_told() -> None:
    registry = CollectorRegistry()
    metrics = OrdersMetrics(registry, PostgresConflicts(registry))
    metrics.order_created(READY)
    metrics.stock_was_short("main", [ShortLine("A", 2, 1), ShortLine("B", 1, 0)])
    metrics.holds_expired(3)
    metrics.sweep_failed("due", DeadlockDetected())
    metrics.shortfall_seen(4)
    metrics.lateness_seen({State.PAID: 90.0})
    values = {
        "orders_created_total": {"fulfilment": "PICKUP"},
        "orders_reserve_shortages_total": {"location": "main"},
        "orders_holds_expired_total": {},
        "orders_sweep_failures_total": {"step": "due"},
        "postgres_conflicts_total": {"kind": "deadlock"},
        "orders_stock_shortfall": {},
        "orders_late_seconds": {"state": "PAID"},
    }
    assert [registry.get_sample_value(name, labels) for name, labels in values.items()] == [1, 2, 3, 1, 1, 4, 90]
    metrics.lateness_seen({})
    assert registry.get_sample_value("orders_late_seconds", {"state": "PAID"}) == 0
