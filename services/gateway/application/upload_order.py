"""A customer uploads an order number, so that its points are fetched."""

from __future__ import annotations

from uuid import UUID

from services.gateway.application.ports import Caller, Orders
from services.gateway.domain.order_number import checked_number


class UploadOrder:
    def __init__(self, orders: Orders) -> None:
        self._orders = orders

    async def upload(self, caller: Caller, text: str, request_id: UUID) -> bool:
        """Returns whether the number is new; False if this customer had uploaded it. Raises OrderNumberInvalid and what Orders raises."""
        return await self._orders.submit(caller, checked_number(text), request_id)
