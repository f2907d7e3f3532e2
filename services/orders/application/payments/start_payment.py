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
    Known,
    OutcomeUnknown,
    PaymentRecords,
    PaymentStarts,
    PointsRefused,
    ProviderRejected,
)
from services.orders.domain.ordering.transitions import Caller
from services.orders.domain.payments.model import Payment
from services.orders.domain.payments.saga import OrderStanding
from services.orders.domain.payments.starting import Wanted, noted, start
from shared.errors import GalenError
from shared.faults import Faults
from shared.requests import RequestKey

log = structlog.get_logger()


class StartPayment:
    def __init__(
        self,
        starts: PaymentStarts,
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
        self._starts = starts
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
        begun = await self._begin(customer_id, order_id, wanted, caller, key)
        self._faults.reach("payment_started")
        known = await self._records.read(begun) if isinstance(begun, UUID) else begun
        try:
            async with asyncio.timeout(self._patience_s()):
                return await self._driver.go_on(known)
        except (OutcomeUnknown, ProviderRejected, PointsRefused, GalenError, TimeoutError) as error:
            self._observer.outcome_unknown()
            log.warning("a payment has to wait", payment_id=str(known.payment.id), error=repr(error))
            if not isinstance(begun, UUID):
                # It is under way: the job goes on from where this ended.
                await self._starts.leave(known.payment.id)
            return (await self._records.read(known.payment.id)).payment

    async def _begin(self, customer_id: str, order_id: UUID, wanted: Wanted, caller: Caller, key: RequestKey) -> UUID | Known:
        async with self._starts.begin() as transaction:
            found = await transaction.lock(order_id, customer_id, key)
            if isinstance(found, UUID):
                return found
            order, now = found.order, found.now
            payment, actor = start(order, found.live, wanted, caller, self._identifiers.order_id(), now)
            outcome = noted(order, payment, actor, now, time_to_pay=self._time_to_pay, is_first=found.payments == 0)
            await transaction.store(payment, order, outcome, key)
            return Known(payment, OrderStanding.of(outcome.order))
