"""What a caller may do with an order at this moment."""

from __future__ import annotations

from services.orders.domain.ordering import transitions
from services.orders.domain.ordering.changes import Terms, may_come_back
from services.orders.domain.ordering.model import Action, Order
from services.orders.domain.ordering.transitions import Caller
from shared.clock import Clock


class AllowedActions:
    def __init__(self, terms: Terms, clock: Clock) -> None:
        self._terms = terms
        self._clock = clock

    def __call__(self, order: Order, caller: Caller) -> tuple[Action, ...]:
        return transitions.allowed_actions(order, caller, may_come_back=may_come_back(order, self._clock.now(), self._terms))
