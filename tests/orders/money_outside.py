"""The money of many payments outside of the service: a card provider that can be away, and the points of all customers."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from uuid import UUID

from services.orders.application.payments.ports import Intent, OutcomeUnknown, ProviderRefund
from services.orders.domain.payments.model import Payment, Refund
from tests.orders.unit.payments.outside import MemoryProvider, Trouble


class Bank(MemoryProvider):
    """The one intent of a payment."""

    def intent(self, payment: Payment) -> Intent:
        return replace(super().intent(payment), reference=f"pi_{payment.id}")

    @property
    def kept_minor(self) -> int:
        return self.captured - sum(self.refunds.values())


@dataclass
class Banks:
    """`CardProvider`: each payment has a bank of its own, whose card is what the payment's is called."""

    away: bool = False
    banks: dict[UUID, Bank] = field(default_factory=dict)

    def of(self, payment_id: UUID) -> Bank:
        return self.banks.setdefault(payment_id, Bank(Trouble([])))

    def _reached(self, payment: Payment) -> Bank:
        if self.away:
            raise OutcomeUnknown("the provider does not answer")
        return self.of(payment.id)

    async def create_intent(self, payment: Payment) -> Intent:
        bank = self._reached(payment)
        bank.declines, bank.asks_the_payer = payment.card == "declines", payment.card == "asks the payer"
        return await bank.create_intent(payment)

    async def capture(self, payment: Payment) -> Intent:
        return await self._reached(payment).capture(payment)

    async def cancel(self, payment: Payment) -> Intent:
        return await self._reached(payment).cancel(payment)

    async def get_intent(self, payment: Payment) -> Intent:
        return await self._reached(payment).get_intent(payment)

    async def refund(self, refund: Refund, payment: Payment) -> ProviderRefund:
        return await self._reached(payment).refund(refund, payment)


@dataclass
class PointsOfAll:
    """`PointsLedger`: each step of a payment or refund has its effect once. Everybody has enough."""

    held: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    taken: Counter[UUID] = field(default_factory=Counter)
    given_back: dict[UUID, tuple[UUID, int]] = field(default_factory=dict)

    async def hold(self, payment: Payment) -> str:
        if payment.id not in self.taken:
            self.held[payment.id] = payment.points_minor
        return f"hold-{payment.id}"

    async def capture(self, payment: Payment) -> str:
        self.taken[payment.id] += self.held.pop(payment.id, 0)
        return f"operation-{payment.id}"

    async def release(self, payment: Payment) -> None:
        self.held.pop(payment.id, None)

    async def give_back(self, refund: Refund, payment: Payment) -> None:
        self.given_back[refund.id] = (payment.id, refund.points_minor)

    def kept_minor(self, payment_id: UUID) -> int:
        return self.taken[payment_id] - sum(points for paid, points in self.given_back.values() if paid == payment_id)
