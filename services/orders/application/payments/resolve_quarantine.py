"""Releases a payment from quarantine as an admin decides, in one transaction with the event that tells of it, then drives it on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from services.orders.application.ordering.ports import Identifiers
from services.orders.application.payments.drive_payment import DrivePayment
from services.orders.application.payments.ports import (
    OutcomeUnknown,
    PaymentTransaction,
    PaymentTransactions,
    PointsRefused,
    ProviderRejected,
)
from services.orders.domain.errors import OwnOrder, PaymentNotFound, PaymentNotQuarantined
from services.orders.domain.etags import check_etag
from services.orders.domain.ordering.changes import happened
from services.orders.domain.ordering.commands import PAYMENT
from services.orders.domain.ordering.model import Actor, EventKind, Order
from services.orders.domain.ordering.transitions import ADMIN, Caller
from services.orders.domain.payments import changes
from services.orders.domain.payments.model import Payment
from services.orders.domain.payments.quarantine import Decision, Release, release
from services.orders.domain.payments.refunding import refund_card
from shared.errors import GalenError
from shared.requests import RequestKey

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Ruling:
    """What was decided of a payment as it was seen, and why."""

    decision: Decision
    etag: str
    reason: str


class ResolveQuarantine:
    def __init__(
        self, transactions: PaymentTransactions, driver: DrivePayment, identifiers: Identifiers, *, patience_s: Callable[[], float]
    ) -> None:
        """`patience_s` says for how long provider and ledger are waited for: what is not through by then goes on by itself."""
        self._transactions = transactions
        self._driver = driver
        self._identifiers = identifiers
        self._patience_s = patience_s

    async def resolve(self, customer_id: str, order_id: UUID, payment_id: UUID, ruling: Ruling, caller: Caller, key: RequestKey) -> None:
        """Releases the payment, and drives it as far as it goes; again, only the latter.

        Raises PaymentNotFound, OrderNotFound, OwnOrder, PaymentNotQuarantined, EtagMismatch, DecisionNotPossible, RequestIdReused.
        """
        await self._release(customer_id, order_id, payment_id, ruling, caller, key)
        try:
            async with asyncio.timeout(self._patience_s()):
                await self._driver.drive(payment_id)
        except (OutcomeUnknown, ProviderRejected, PointsRefused, GalenError, TimeoutError) as error:
            # It is under way: the job goes on from where this ended.
            log.warning("a payment that left quarantine has to wait", payment_id=str(payment_id), error=repr(error))

    async def _release(self, customer_id: str, order_id: UUID, payment_id: UUID, ruling: Ruling, caller: Caller, key: RequestKey) -> None:
        async with self._transactions.begin() as transaction:
            if await transaction.answered(key) is not None:
                return
            order = await transaction.lock_order(order_id, customer_id)
            payment = await transaction.lock_payment(payment_id)
            if payment is None or payment.order_id != order_id:
                raise PaymentNotFound
            if caller.name == order.owner:
                raise OwnOrder
            if not payment.quarantined:
                raise PaymentNotQuarantined
            check_etag(ruling.etag, payment.version)
            await self._decide(transaction, order, payment, ruling, Actor(caller.name, ADMIN))
            await transaction.commit(key, payment.id)

    async def _decide(self, transaction: PaymentTransaction, order: Order, payment: Payment, ruling: Ruling, actor: Actor) -> None:
        facts, refunds = await transaction.facts_of(payment.id), await transaction.refunds_of(payment.id)
        now = await transaction.now()
        released = release(payment, facts, refunds, ruling.decision, order_was_paid=order.times.paid is not None)
        await transaction.resume_payment(changes.shown(released.payment, now))
        details = _details(payment, ruling) | await self._give_back(transaction, released, ruling, now)
        await transaction.store_order(order, happened(order, order, EventKind.PAYMENT, actor, now, reason=ruling.reason, details=details))

    async def _give_back(self, transaction: PaymentTransaction, released: Release, ruling: Ruling, now: datetime) -> dict[str, str]:
        """Makes the refund of what goes back at once, which waits until its payment has ended; returns what the event says of it."""
        if not released.back_minor:
            return {}
        refund = refund_card(
            released.payment,
            released.back_minor,
            released.currency,
            refund_id=self._identifiers.order_id(),
            reason=ruling.reason,
            now=now,
            is_surplus=ruling.decision is Decision.ACCEPT,
        )
        await transaction.add_refund(refund)
        return {"refund": refund.name, "amount_minor": str(refund.amount_minor)}


def _details(payment: Payment, ruling: Ruling) -> dict[str, str]:
    """Returns what was known when it was decided."""
    return {
        PAYMENT: payment.name,
        "decision": ruling.decision.name,
        "expected_minor": str(payment.card_expected_minor),
        "captured_minor": str(payment.captured_minor),
    }
