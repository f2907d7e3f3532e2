"""What bringing points to customers needs."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from services.orders.domain.ordering.model import Order
from services.orders.domain.points.purchase import Earned, Purchase


class PurchaseRefused(Exception):
    """The accrual service refuses the purchase, and would again. `reason` is that of its error."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Accrual(Protocol):
    """The accrual service. Both raise GalenError while it does not answer."""

    async def register(self, purchase: Purchase) -> None:
        """Tells of a purchase, once however often it is called. Raises PurchaseRefused."""

    async def earned(self, customer_id: str, number: str) -> Earned | None:
        """Returns what the purchase earned; None while that is not final."""


class PointsOfOrders(Protocol):
    """Where orders note their points."""

    async def awaiting(self, order_id: UUID) -> Order | None:
        """Returns the order if it waits for its points, else None."""

    async def registered(self, order_id: UUID) -> None:
        """Notes that the purchase is known: the next step is to wait for its points."""

    async def conclude(self, order_id: UUID, earned: Earned) -> bool:
        """Notes what the order earned, with an event, if it still waits for it; False if it does not."""
