"""What an order earned, as its claim says."""

from __future__ import annotations

from services.orders.application.payments.ports import OutcomeUnknown
from services.orders.application.points.ports import Accrual
from shared.errors import GalenError


class EarnedByClaims:
    """`EarnedPoints`."""

    def __init__(self, accrual: Accrual) -> None:
        self._accrual = accrual

    async def credit(self, customer_id: str, order_number: str) -> tuple[str, int] | None:
        try:
            earned = await self._accrual.earned(customer_id, order_number)
        except GalenError as error:
            raise OutcomeUnknown(error.message, error.retry_after_s) from error
        if earned is None:
            raise OutcomeUnknown("the points that the order earns are not known yet")
        return (earned.credit_operation, earned.points_minor) if earned.points_minor else None
