"""Reads payments and refunds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, TypeAlias, TypeVar
from uuid import UUID

from services.orders.domain.errors import OrderNotFound, PaymentNotFound, RefundNotFound
from services.orders.domain.payments.facts import Fact, fold
from services.orders.domain.payments.model import Payment, Refund
from services.orders.domain.payments.quarantine import Decision, obstacle

# A place in a list: when it was made, and its id.
Place: TypeAlias = tuple[datetime, UUID]
Listed = TypeVar("Listed", Payment, Refund)


@dataclass(frozen=True, slots=True)
class PaymentFilter:
    """Which payments to list: an order's, or everybody's if `order_id` is None; those older than the place `before`."""

    order_id: UUID | None
    quarantined_only: bool
    before: Place | None
    limit: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """A payment, all that the provider has said of it, oldest first, what of that does not fit, and what can be decided of it."""

    payment: Payment
    facts: Sequence[Fact]
    mismatch: str
    possible: Sequence[Decision]


class StoredPayments(Protocol):
    """Payments and refunds of a customer's order."""

    async def has_order(self, customer_id: str, order_id: UUID) -> bool:
        """Tells whether the customer has such an order."""

    async def payment(self, customer_id: str, order_id: UUID, payment_id: UUID) -> Payment | None: ...

    async def refund(self, customer_id: str, order_id: UUID, refund_id: UUID) -> Refund | None: ...

    async def said_of(self, customer_id: str, order_id: UUID, payment_id: UUID) -> tuple[Payment, Sequence[Fact], bool] | None:
        """Returns a payment, all that the provider has said of it, and whether its order was paid."""

    async def payments(self, wanted: PaymentFilter) -> Sequence[Payment]:
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

    async def inspected(self, customer_id: str, order_id: UUID, payment_id: UUID) -> Inspection:
        """Raises PaymentNotFound."""
        found = await self._stored.said_of(customer_id, order_id, payment_id)
        if found is None:
            raise PaymentNotFound
        payment, facts, order_was_paid = found
        possible = [one for one in Decision if payment.quarantined and not obstacle(payment, facts, one, order_was_paid=order_was_paid)]
        return Inspection(payment, sorted(facts, key=lambda fact: fact.at), fold(payment, facts).mismatch, possible)

    async def refund(self, customer_id: str, order_id: UUID, refund_id: UUID) -> Refund:
        """Raises RefundNotFound."""
        refund = await self._stored.refund(customer_id, order_id, refund_id)
        if refund is None:
            raise RefundNotFound
        return refund

    async def payments(self, customer_id: str, wanted: PaymentFilter) -> tuple[Sequence[Payment], Place | None]:
        """Returns a page, newest first, and where the next one begins, if there is one. Raises OrderNotFound.

        Where no order is wanted it is everybody's, whoever the customer is.
        """
        if wanted.order_id is not None:
            await self._check(customer_id, wanted.order_id)
        return _page(await self._stored.payments(replace(wanted, limit=wanted.limit + 1)), wanted.limit)

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
