"""Orders for tests of rules: no database, any state."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from services.orders.domain.ordering.changes import Terms
from services.orders.domain.ordering.model import Contact, Fulfilment, Line, Order, State, Times
from services.orders.domain.ordering.transitions import Caller
from tests.orders.world import NOW

OWNER = "customers/ann"
TERMS = Terms(
    payment=timedelta(minutes=15),
    review=timedelta(days=2),
    preparation=timedelta(hours=4),
    collection=timedelta(days=7),
    arrival=timedelta(days=5),
    returning=timedelta(days=14),
)


def a_line(sku: str = "IBU-400", quantity: int = 2, **changes: Any) -> Line:
    line = Line(sku, "Ibuprofen", "tablet", "400 mg", quantity, 499, rx_required=False, schedule=0, cold_chain=False)
    return replace(line, **changes)


def an_order(state: State = State.PENDING_PAYMENT, **changes: Any) -> Order:
    """Returns an order for delivery of two units that are neither on prescription nor controlled."""
    order = Order(
        id=UUID(int=7),
        customer_id="ann",
        number="4971499616354644",
        state=state,
        location_id="main",
        currency="EUR",
        lines=(a_line(),),
        fulfilment=Fulfilment.DELIVERY,
        contact=Contact("Ann", "+353871234567", "ann@example.com"),
        delivery_address=None,
        note="",
        created_at=NOW,
        updated_at=NOW,
        times=Times(due=NOW + TERMS.payment),
        events=3,
        version=3,
    )
    return replace(order, **changes)


def caller(*roles: str, name: str = "customers/stan") -> Caller:
    return Caller(name, frozenset(roles))
