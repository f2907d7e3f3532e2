"""Compares our books with the provider's and the ledger's: money and points that were taken and given back, and the orders they paid."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Protocol

from services.orders.application.payments.ports import CardProvider, PointsLedger, PointsRefused, ProviderRejected
from services.orders.domain.ordering.model import State
from services.orders.domain.payments.facts import fold
from services.orders.domain.payments.model import Payment, Points
from services.orders.domain.payments.saga import OrderStanding

UNPAID_ENDS = frozenset({State.EXPIRED, State.CANCELLED})


class Rule(IntEnum):
    """The numbers are those of galen.orders.v1.PaymentRule."""

    CAPTURED_IS_CAPTURED_AT_PROVIDER = 1
    REFUNDED_IS_REFUNDED_AT_PROVIDER = 2
    POINTS_ARE_THOSE_OF_THE_LEDGER = 3
    PAID_ORDER_HAS_A_CAPTURED_PAYMENT = 4
    UNPAID_ORDER_HAS_NO_MONEY = 5


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that should be equal and is not."""

    payment: str
    rule: Rule
    expected: str
    actual: str


@dataclass(frozen=True, slots=True)
class Compared:
    """The last word of a comparison: how many payments there were."""

    payments: int


class EndedPayments(Protocol):
    """Payments that have come to their end, refunds and all."""

    async def ended_since(self, start: datetime, after: Payment | None, limit: int) -> Sequence[tuple[Payment, OrderStanding]]:
        """Returns those that were started from a time on, first to last, that follow a payment."""


PAGE = 200


class Reconcile:
    def __init__(self, payments: EndedPayments, provider: CardProvider, ledger: PointsLedger) -> None:
        self._payments = payments
        self._provider = provider
        self._ledger = ledger

    async def compare(self, start: datetime) -> AsyncIterator[Difference | Compared]:
        """Yields what differs, then how many payments were compared. Raises OutcomeUnknown if the others do not answer."""
        compared, last = 0, None
        while page := await self._payments.ended_since(start, last, PAGE):
            for payment, order in page:
                async for difference in self._of(payment, order):
                    yield difference
            compared, last = compared + len(page), page[-1][0]
        yield Compared(compared)

    async def _of(self, payment: Payment, order: OrderStanding) -> AsyncIterator[Difference]:
        for difference in order_differences(payment, order):
            yield difference
        if payment.intent:
            captured, refunded = await self._at_provider(payment)
            if captured != payment.captured_minor:
                yield _difference(payment, Rule.CAPTURED_IS_CAPTURED_AT_PROVIDER, payment.captured_minor, captured)
            if refunded != payment.refunded_minor:
                yield _difference(payment, Rule.REFUNDED_IS_REFUNDED_AT_PROVIDER, payment.refunded_minor, refunded)
        if payment.hold:
            expected, actual = f"0 held, {payment.points_captured_minor} taken", await self._in_ledger(payment)
            if actual != expected:
                yield _difference(payment, Rule.POINTS_ARE_THOSE_OF_THE_LEDGER, expected, actual)

    async def _at_provider(self, payment: Payment) -> tuple[int | str, int | str]:
        """Returns what was taken and given back there; its word for it, if it does not know the payment."""
        try:
            standing = fold(payment, (await self._provider.get_intent(payment)).facts)
            return standing.captured_minor, await self._provider.refunded_minor(payment)
        except ProviderRejected as rejected:
            return rejected.code, rejected.code

    async def _in_ledger(self, payment: Payment) -> str:
        try:
            held, captured = await self._ledger.standing(payment)
        except PointsRefused as refused:
            return refused.reason
        return f"{held} held, {captured} taken"


def order_differences(payment: Payment, order: OrderStanding) -> Iterator[Difference]:
    """Yields what of the payment does not fit its order."""
    money = payment.captured_minor - payment.refunded_minor
    points = payment.points_captured_minor - payment.points_returned_minor
    if payment.settled and order.was_paid:
        taken = payment.captured_minor + payment.points_captured_minor
        expected = payment.card_expected_minor + payment.points_minor
        if taken != expected or payment.points_standing is Points.HELD:
            yield _difference(payment, Rule.PAID_ORDER_HAS_A_CAPTURED_PAYMENT, expected, taken)
    if order.state in UNPAID_ENDS and money + points:
        yield _difference(payment, Rule.UNPAID_ORDER_HAS_NO_MONEY, 0, money + points)


def _difference(payment: Payment, rule: Rule, expected: object, actual: object) -> Difference:
    return Difference(payment.name, rule, str(expected), str(actual))
