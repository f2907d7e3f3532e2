"""Who calls, where answers differ by that."""

from __future__ import annotations

from shared.grpc.call import current_principal
from shared.grpc.policy import CUSTOMER


def is_staff() -> bool:
    """Tells whether the caller is of the pharmacy: a person with another role than that of a customer."""
    return bool(current_principal.get().roles - {CUSTOMER})
