"""Reads payments and refunds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, TypeAlias, TypeVar
from uuid import UUID

from services.orders.domain.errors import OrderNotFound, PaymentNotFound, RefundNotFound
from services.orders.domain.payments.model import Payment, Refund

# A place in a list: when it was made, and its id.
Place: TypeAlias = tuple[datetime, UUID]
Listed = TypeVar("Listed", Payment, Refund)


class StoredPayments(Protocol):
    """Payments and refunds of a customer's order."""

    async def has_order(self, customer_id: str, order_id: UUID) -> bool:
        """Tells whether the customer has such an order."""

    async def payment(self, customer_id: str, order_id: UUID, payment_id: UUID) -> Payment | None: ...

    async def refund(self, customer_id: str, order_id: UUID, refund_id: UUID) -> Refund | None: ...

    async def payments(self, order_id: UUID, *, before: Place | None, limit: int) -> Sequence[Payment]:
        """Returns payments, newest first."""

    async def refunds(self, order_id: UUID, *, before: Place | None, limit: int) -> Sequence[Refund]:
        """Returns refunds, newest first."""


class ReadPayments:
    def __init__(self, stored: StoredPayments) -> None:
        self._stored = stored

    async def payment(self, customer_id: str, order_id: UUID, payment_id: UUID) -> Payment:
        """Raises PaymentNotFound."""
        payment = await self._stored.payment(customer_id, order_id, payment_id)
        if payment is None:
            raise PaymentNotFound
        return payment

    async def refund(self, customer_id: str, order_id: UUID, refund_id: UUID) -> Refund:
        """Raises RefundNotFound."""
        refund = await self._stored.refund(customer_id, order_id, refund_id)
        if refund is None:
            raise RefundNotFound
        return refund

    async def payments(
        self, customer_id: str, order_id: UUID, *, before: Place | None, limit: int
    ) -> tuple[Sequence[Payment], Place | None]:
        """Returns a page, newest first, and where the next one begins, if there is one. Raises OrderNotFound."""
        await self._check(customer_id, order_id)
        return _page(await self._stored.payments(order_id, before=before, limit=limit + 1), limit)

    async def refunds(self, customer_id: str, order_id: UUID, *, before: Place | None, limit: int) -> tuple[Sequence[Refund], Place | None]:
        """Returns a page, newest first, and where the next one begins, if there is one. Raises OrderNotFound."""
        await self._check(customer_id, order_id)
        return _page(await self._stored.refunds(order_id, before=before, limit=limit + 1), limit)

    async def _check(self, customer_id: str, order_id: UUID) -> None:
        if not await self._stored.has_order(customer_id, order_id):
            raise OrderNotFound


def _page(rows: Sequence[Listed], limit: int) -> tuple[Sequence[Listed], Place | None]:
    """Cuts off the row that was only asked for to know whether more follow."""
    page = rows[:limit]
    return page, (page[-1].created_at, page[-1].id) if len(rows) > limit else None
