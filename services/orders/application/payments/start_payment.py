"""Starts to pay an order: commits the intent to, then drives it as far as it goes while the caller waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import structlog

from services.orders.application.ordering.ports import Identifiers
from services.orders.application.payments.drive_payment import DrivePayment
from services.orders.application.payments.observer import PaymentObserver
from services.orders.application.payments.ports import (
    OutcomeUnknown,
    PaymentRecords,
    PaymentTransactions,
    PointsRefused,
    ProviderRejected,
)
from services.orders.domain.ordering.transitions import Caller
from services.orders.domain.payments.model import Payment
from services.orders.domain.payments.starting import Wanted, noted, start
from shared.errors import GalenError
from shared.faults import Faults
from shared.requests import RequestKey

log = structlog.get_logger()


class StartPayment:
    def __init__(
        self,
        transactions: PaymentTransactions,
        records: PaymentRecords,
        driver: DrivePayment,
        identifiers: Identifiers,
        faults: Faults,
        *,
        time_to_pay: timedelta,
        patience_s: Callable[[], float],
        observer: PaymentObserver,
    ) -> None:
        """`patience_s` says for how long provider and ledger are waited for: less than the caller has, who is told how far it has come."""
        self._transactions = transactions
        self._records = records
        self._driver = driver
        self._identifiers = identifiers
        self._faults = faults
        self._time_to_pay = time_to_pay
        self._patience_s = patience_s
        self._observer = observer

    async def start(self, customer_id: str, order_id: UUID, wanted: Wanted, caller: Caller, key: RequestKey) -> Payment:
        """Returns the payment, as far as it has come; again, the same one as it is now.

        Raises OrderNotFound, OrderStateRefused, OperationPending, PaymentUnderWay, PointsAmountInvalid, RequestIdReused.
        """
        payment_id = await self._begin(customer_id, order_id, wanted, caller, key)
        self._faults.reach("payment_started")
        try:
            async with asyncio.timeout(self._patience_s()):
                return await self._driver.drive(payment_id)
        except (OutcomeUnknown, ProviderRejected, PointsRefused, GalenError, TimeoutError) as error:
            self._observer.outcome_unknown()
            # It is under way: the job goes on from where this ended.
            log.warning("a payment has to wait", payment_id=str(payment_id), error=repr(error))
            return (await self._records.read(payment_id))[0]

    async def _begin(self, customer_id: str, order_id: UUID, wanted: Wanted, caller: Caller, key: RequestKey) -> UUID:
        async with self._transactions.begin() as transaction:
            answered = await transaction.answered(key)
            if answered is not None:
                return answered
            order = await transaction.lock_order(order_id, customer_id)
            live = await transaction.live_payment(order_id)
            now = await transaction.now()
            payment, actor = start(order, live, wanted, caller, self._identifiers.order_id(), now)
            is_first = await transaction.count_payments(order_id) == 0
            await transaction.add_payment(payment)
            await transaction.store_order(order, noted(order, payment, actor, now, time_to_pay=self._time_to_pay, is_first=is_first))
            await transaction.commit(key, payment.id)
            return payment.id
