"""Has the last word on whether an order is paid, before it ends unpaid: the provider's answer, not ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from services.orders.application.ordering.ports import Verdict
from services.orders.application.payments.drive_payment import DrivePayment
from services.orders.application.payments.observer import PaymentObserver
from services.orders.application.payments.ports import Draft, OutcomeUnknown, PaymentRecords, PointsRefused, ProviderRejected
from services.orders.domain.ordering.model import Order, State
from services.orders.domain.ordering.transitions import is_approved
from services.orders.domain.payments import changes
from services.orders.domain.payments.model import Card, Payment, Wish

log = structlog.get_logger()


class LivePayments:
    """A `PaymentArbiter` that knows payments."""

    def __init__(
        self, records: PaymentRecords, driver: Callable[[], DrivePayment], patience_s: Callable[[], float], observer: PaymentObserver
    ) -> None:
        """The driver is handed out when it is needed: it changes orders, which ask the arbiter.

        `patience_s` says for how long the others are waited for: until then whoever asks can still be told that nothing is known yet, and
        many orders wait in a row for a provider that hangs.
        """
        self._records = records
        self._driver = driver
        self._patience_s = patience_s
        self._observer = observer

    async def cancel(self, order: Order) -> Verdict:
        payment = await self._records.live_of(order.id)
        if payment is None:
            return Verdict.CANCELLED
        give_up = Draft(lambda now: changes.given_up(now, Wish.GIVE_UP), while_order_version=order.version)
        known = await self._records.record(payment.id, give_up)
        if known.order.version != order.version:
            return Verdict.UNKNOWN  # of an order that is no more: whoever asks looks at it again
        try:
            async with asyncio.timeout(self._patience_s()):
                payment = await self._driver().go_on(known)
        except (OutcomeUnknown, ProviderRejected, PointsRefused, TimeoutError) as error:
            self._observer.outcome_unknown()
            log.warning("a payment could not be cancelled yet", payment=payment.name, error=repr(error))
            return Verdict.UNKNOWN
        return _verdict(payment, order)


def _verdict(payment: Payment, order: Order) -> Verdict:
    if not payment.is_live:
        return Verdict.CANCELLED
    # Money that does not fit pays nothing until people say that it does.
    has_money = payment.card_standing is Card.CAPTURED or payment.settled
    if not (has_money and payment.may_pay):
        return Verdict.UNKNOWN
    # Money that somebody took before the review can't pay the order, and goes back by itself once that has ended.
    is_too_early = order.state is State.UNDER_REVIEW and not (is_approved(order) or payment.settled)
    return Verdict.CANCELLED if is_too_early else Verdict.PAID
