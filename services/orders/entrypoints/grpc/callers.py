"""Who calls, where answers differ by that."""

from __future__ import annotations

from services.orders.domain.ordering.transitions import Caller
from shared.grpc.call import current_principal
from shared.grpc.policy import CUSTOMER


def is_staff() -> bool:
    """Tells whether the caller is of the pharmacy: a person with another role than that of a customer."""
    return bool(current_principal.get().roles - {CUSTOMER})


def order_caller() -> Caller:
    """Returns who asks for an order, with all their roles."""
    principal = current_principal.get()
    return Caller(principal.actor, principal.roles)
