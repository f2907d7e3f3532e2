"""A customer looks at their points, and spends them."""

from __future__ import annotations

from uuid import UUID

from services.gateway.application.ports import Balance, Caller, Points
from services.gateway.domain.errors import InsufficientPoints
from services.gateway.domain.order_number import checked_number
from shared.errors import GalenError


class SpendPoints:
    """An account is opened shortly after registration; until then it is as good as an empty one."""

    def __init__(self, points: Points) -> None:
        self._points = points

    async def balance(self, caller: Caller) -> Balance:
        return await self._points.balance(caller) or Balance(available=0, spent=0)

    async def withdraw(self, caller: Caller, order_number: str, amount: int, request_id: UUID) -> None:
        """Spends `amount` on an order. Raises OrderNumberInvalid, InsufficientPoints and what Points raises."""
        number = checked_number(order_number)
        try:
            await self._points.withdraw(caller, number, amount, request_id)
        except GalenError as error:
            if error.reason == "ACCOUNT_NOT_FOUND":
                raise InsufficientPoints from error
            raise
