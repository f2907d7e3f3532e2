"""What goes on with payments and refunds beside the calls: jobs that drive them to their end, and looks at what was never told.

None is ever given up: money is concerned. What has to wait comes again, with growing pauses; what people have to look at is logged as an
error each time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from uuid import UUID

import structlog

from services.orders.application.payments.drive_payment import DrivePayment
from services.orders.application.payments.drive_refund import DriveRefund
from services.orders.application.payments.end_unpayable import EndUnpayable
from services.orders.application.payments.observer import PaymentObserver
from services.orders.application.payments.ports import OutcomeUnknown, PaymentRecords, PointsRefused, ProviderRejected
from services.orders.application.payments.take_messages import TakeMessages
from shared.errors import GalenError
from shared.jobs.queue import NotYet
from shared.tasks import going_on

log = structlog.get_logger()

LOOKS_AT_ONCE = 20


class PaymentJobs:
    def __init__(self, payments: DrivePayment, refunds: DriveRefund, messages: TakeMessages, observer: PaymentObserver) -> None:
        self._payments = payments
        self._refunds = refunds
        self._messages = messages
        self._observer = observer

    async def drive_payment(self, payment_id: str) -> None:
        """Raises NotYet."""
        await self._patiently(self._payments.drive(UUID(payment_id)), payment_id)

    async def drive_refund(self, refund_id: str) -> None:
        """Raises NotYet."""
        await self._patiently(self._refunds.drive(UUID(refund_id)), refund_id)

    async def work_on_message(self, event_id: str) -> None:
        """Raises NotYet."""
        await self._patiently(self._messages.work_on(event_id), event_id)

    async def _patiently(self, work: Awaitable[object], subject: str) -> None:
        try:
            await work
        except OutcomeUnknown as error:
            self._observer.outcome_unknown()
            raise NotYet(str(error), after_s=error.retry_after_s or 0.0) from error
        except (ProviderRejected, PointsRefused) as error:
            log.error("a payment can't go on: somebody has to look", subject=subject, error=str(error))
            raise


class Looking:
    """Every `every_s` seconds: asks the provider about payments that wait for it, and for messages that never came.

    And ends orders under review that lost their payment while whoever gave it up died.
    """

    def __init__(
        self,
        records: PaymentRecords,
        payments: DrivePayment,
        messages: TakeMessages,
        unpayable: EndUnpayable,
        observer: PaymentObserver,
        *,
        every_s: float,
        on_failure: Callable[[Exception], None],
    ) -> None:
        """`on_failure` is told why a round failed."""
        self._on_failure = on_failure
        self._observer = observer
        self._records = records
        self._payments = payments
        self._messages = messages
        self._unpayable = unpayable
        self._every_s = every_s

    async def run(self) -> None:
        """Runs until cancelled; outlives failures of database and provider. Any number of replicas may run it."""
        while going_on():
            await asyncio.sleep(self._every_s * random.uniform(0.8, 1.2))  # noqa: S311
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001  the next round tries again
                self._on_failure(error)
                log.warning("payments could not be looked at", error=repr(error))

    async def look(self) -> None:
        """One round."""
        self._observer.under_way(await self._records.under_way())
        for payment_id in await self._records.due_for_a_look(LOOKS_AT_ONCE):
            try:
                await self._payments.look(payment_id)
            except (OutcomeUnknown, ProviderRejected, PointsRefused, GalenError) as error:
                self._observer.outcome_unknown()
                log.warning("a payment has to wait", payment_id=str(payment_id), error=str(error))
        await self._unpayable.end()
        await self._messages.forget()
        found = await self._messages.catch_up()
        if found:
            log.warning("messages of the provider had not come", messages=found)
