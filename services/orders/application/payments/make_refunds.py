"""Makes refunds: because staff ask for one, or because money came after its order had ended."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from services.orders.application.ordering.ports import Identifiers
from services.orders.application.payments.ports import PaymentTransaction, PaymentTransactions
from services.orders.domain.errors import OwnOrder, PaymentNotFound, RefundNotPossible
from services.orders.domain.ordering.changes import happened
from services.orders.domain.ordering.model import SYSTEM, Actor, EventKind, Order
from services.orders.domain.ordering.transitions import Caller
from services.orders.domain.payments.changes import shown
from services.orders.domain.payments.model import Payment, PaymentState, Refund
from services.orders.domain.payments.refunding import (
    WantedRefund,
    acting_for,
    as_come_too_late,
    as_taken,
    given_by,
    left_at_provider,
    refund_amount,
    refund_card,
    refund_lines,
)
from shared.requests import RequestKey


class MakeRefunds:
    def __init__(self, transactions: PaymentTransactions, identifiers: Identifiers) -> None:
        self._transactions = transactions
        self._identifiers = identifiers

    async def create(self, customer_id: str, order_id: UUID, wanted: WantedRefund, caller: Caller, key: RequestKey) -> UUID:
        """Returns the id of the new refund, of units, of an amount, or of all that is left; again, the same one.

        Raises OrderNotFound, OwnOrder, PaymentNotFound, RefundNotPossible, RequestIdReused.
        """
        async with self._transactions.begin() as transaction:
            answered = await transaction.answered(key)
            if answered is not None:
                return answered
            order = await transaction.lock_order(order_id, customer_id)
            if caller.name == order.owner:
                raise OwnOrder
            refund = await self._refund(transaction, order, await _to_give_back(transaction, order, wanted), wanted)
            await self._add(transaction, order, refund, acting_for(order, caller))
            await transaction.commit(key, refund.id)
            return refund.id

    async def refund_all(self, payment_id: UUID, order_id: UUID, reason: str) -> bool:
        """Gives all back of a payment whose order has ended without it, or that ended before its money came, and ends the payment.

        Again: nothing happens, and it says False.
        """
        async with self._transactions.begin() as transaction:
            order = await transaction.lock_order(order_id, None)
            payment = await transaction.lock_payment(payment_id)
            if payment is None or not (payment.has_late_money or not payment.is_final):
                return False
            # The points of such a payment were only held, and are free again.
            left, now = left_at_provider(payment, await transaction.refunds_of(payment_id)), await transaction.now()
            if payment.is_live:
                await transaction.end_payment(shown(replace(payment, state=PaymentState.CAPTURED), now))
            if left > 0:
                refund_id, currency = self._identifiers.order_id(), payment.currency
                refund = refund_card(payment, left, currency, refund_id=refund_id, reason=reason, now=now, is_surplus=False)
                await self._add(transaction, order, refund, SYSTEM)
            await transaction.commit(None, payment.id)
            return left > 0

    async def _refund(self, transaction: PaymentTransaction, order: Order, payment: Payment, wanted: WantedRefund) -> Refund:
        given, now, refund_id = given_by(await transaction.refunds_of(payment.id)), await transaction.now(), self._identifiers.order_id()
        if wanted.quantities:
            return refund_lines(order, payment, given, wanted.quantities, refund_id=refund_id, reason=wanted.reason, now=now)
        return refund_amount(payment, given, wanted.amount_minor, refund_id=refund_id, reason=wanted.reason, now=now)

    async def _add(self, transaction: PaymentTransaction, order: Order, refund: Refund, actor: Actor) -> None:
        details = {"refund": refund.name, "amount_minor": str(refund.amount_minor)}
        await transaction.add_refund(refund)
        await transaction.store_order(order, happened(order, order, EventKind.PAYMENT, actor, refund.created_at, details=details))


async def _to_give_back(transaction: PaymentTransaction, order: Order, wanted: WantedRefund) -> Payment:
    """Locks the payment that is meant, and returns it as it can be given back. Raises PaymentNotFound, RefundNotPossible."""
    if wanted.payment_id is None:
        payment = await transaction.live_payment(order.id)
    else:
        payment = await transaction.lock_payment(wanted.payment_id)
        if payment is None or payment.order_id != order.id:
            raise PaymentNotFound
    if payment is not None and not payment.is_live and not wanted.quantities:
        return as_come_too_late(payment, await transaction.refunds_of(payment.id))
    is_paid = payment is not None and payment.is_live and (order.times.paid is not None or payment.state is PaymentState.CAPTURED)
    if payment is None or not is_paid:
        raise RefundNotPossible(0)
    return as_taken(payment)
