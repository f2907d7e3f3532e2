"""A refund's card share does not reach the customer: the provider refused it, or took back its word that it was through."""

from __future__ import annotations

import structlog

from services.orders.application.payments.observer import PaymentObserver
from services.orders.application.payments.ports import PaymentTransactions
from services.orders.domain.errors import RefundNotFound
from services.orders.domain.ordering.changes import happened
from services.orders.domain.ordering.model import SYSTEM, EventKind
from services.orders.domain.payments import changes
from services.orders.domain.payments.model import Refund, RefundState

log = structlog.get_logger()

REFUND_FAILED = "REFUND_FAILED"


class FailRefund:
    def __init__(self, transactions: PaymentTransactions, observer: PaymentObserver) -> None:
        self._transactions = transactions
        self._observer = observer

    async def fail(self, refund: Refund, reference: str, failure: str) -> Refund:
        """Ends the refund as FAILED, with an event that tells of it, and returns it; again, nothing happens.

        What it took of the payment can be given again from then on. Raises RefundNotFound.
        """
        async with self._transactions.begin() as transaction:
            order = await transaction.lock_order(refund.order_id, None)
            await transaction.lock_payment(refund.payment_id)
            now = next((one for one in await transaction.refunds_of(refund.payment_id) if one.id == refund.id), None)
            if now is None:
                raise RefundNotFound
            if now.state is RefundState.FAILED:
                return now
            failed = changes.card_refused(now, reference, failure)
            await transaction.store_refund(failed)
            details = {"refund": failed.name, "failure": failed.failure, "amount_minor": str(failed.card_minor)}
            at = await transaction.now()
            await transaction.store_order(
                order, happened(order, order, EventKind.PAYMENT, SYSTEM, at, reason=REFUND_FAILED, details=details)
            )
            await transaction.commit(None, failed.id)
        self._observer.refund_ended(RefundState.FAILED)
        log.error("a refund failed: staff have to look", refund=failed.name, was=now.state.name, failure=failed.failure)
        return failed
