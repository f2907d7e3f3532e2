"""What is measured of orders and their stock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import attrgetter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.orders.domain.inventory.shortage import ShortLine
from services.orders.domain.ordering.model import Order, State
from shared.postgres.errors import PostgresConflicts

MINUTE, HOUR, DAY = 60, 3600, 86400
IN_STATE_BUCKETS = (5, 30, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, 12 * HOUR, DAY, 3 * DAY, 7 * DAY, 14 * DAY)

# When an order came into the state; the final ones are left by nothing but a return.
_ENTERED = {
    State.PENDING_PAYMENT: attrgetter("created_at"),
    State.UNDER_REVIEW: attrgetter("times.authorized"),
    State.PAID: attrgetter("times.paid"),
    State.PREPARING: attrgetter("times.prepared"),
    State.READY: attrgetter("times.ready"),
    State.SHIPPED: attrgetter("times.sent"),
    State.COMPLETED: attrgetter("times.finished"),
}


class OrdersMetrics:
    """Counters are of this process; gauges are read from the database and the same in every replica."""

    def __init__(self, registry: CollectorRegistry, conflicts: PostgresConflicts) -> None:
        self._conflicts = conflicts
        self._created = Counter("orders_created_total", "Orders that were made.", ["fulfilment"], registry=registry)
        self._transitions = Counter("orders_state_transitions_total", "Changes of state.", ["from", "to"], registry=registry)
        self._in_state = Histogram(
            "orders_time_in_state_seconds",
            "How long orders were in a state when they left it.",
            ["state"],
            buckets=IN_STATE_BUCKETS,
            registry=registry,
        )
        # Not by SKU: callers could make a series of each one that there is.
        self._short = Counter(
            "orders_reserve_shortages_total", "Lines that stock did not suffice for, by location.", ["location"], registry=registry
        )
        self._holds_expired = Counter("orders_holds_expired_total", "Reservations that ran out.", registry=registry)
        self._sweep_failures = Counter(
            "orders_sweep_failures_total", "Steps of the sweeper that failed and will be repeated.", ["step"], registry=registry
        )
        self._late = Gauge(
            "orders_late_seconds", "How long ago the order that is most overdue was due, by state.", ["state"], registry=registry
        )
        self._shortfall = Gauge("orders_stock_shortfall", "Stock levels whose reservations exceed what is there.", registry=registry)

    def order_created(self, order: Order) -> None:
        self._created.labels(order.fulfilment.name).inc()

    def order_changed(self, before: Order, after: Order) -> None:
        if before.state is after.state:
            return
        self._transitions.labels(before.state.name, after.state.name).inc()
        entered: datetime | None = _ENTERED[before.state](before) if before.state in _ENTERED else None
        if entered is not None:
            self._in_state.labels(before.state.name).observe((after.updated_at - entered).total_seconds())

    def stock_was_short(self, location_id: str, lines: Sequence[ShortLine]) -> None:
        self._short.labels(location_id).inc(len(lines))

    def holds_expired(self, count: int) -> None:
        self._holds_expired.inc(count)

    def sweep_failed(self, step: str, error: Exception) -> None:
        self._conflicts.seen(error)
        self._sweep_failures.labels(step).inc()

    def lateness_seen(self, late_s: Mapping[State, float]) -> None:
        for state in (State.PENDING_PAYMENT, State.UNDER_REVIEW, State.PAID, State.PREPARING, State.READY, State.SHIPPED):
            self._late.labels(state.name).set(late_s.get(state, 0.0))

    def shortfall_seen(self, levels: int) -> None:
        self._shortfall.set(levels)
