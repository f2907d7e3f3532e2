"""Drives a refund: the card's share at the provider, the points' share in the ledger, then the points that the order had earned.

Each part has a key made from the refund and is recorded when it is through, so what a crash leaves undone is done again without a second
effect. A refund waits until its payment has come to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import structlog

from services.orders.application.payments.fail_refund import FailRefund
from services.orders.application.payments.observer import PaymentObserver
from services.orders.application.payments.ports import (
    CardProvider,
    EarnedPoints,
    KeySpent,
    OutcomeUnknown,
    PointsLedger,
    ProviderRefund,
    ProviderRejected,
    RefundRecords,
    RefundStanding,
)
from services.orders.domain.ordering.model import Order, PointsState
from services.orders.domain.payments import changes
from services.orders.domain.payments.facts import Fact, FactKind
from services.orders.domain.payments.model import Payment, Points, Refund, RefundState
from services.orders.domain.payments.refunding import may_earn_later
from shared.clock import Clock
from shared.faults import Faults

log = structlog.get_logger()


class DriveRefund:
    def __init__(
        self,
        records: RefundRecords,
        provider: CardProvider,
        ledger: PointsLedger,
        earned: EarnedPoints,
        clock: Clock,
        faults: Faults,
        observer: PaymentObserver,
        failing: FailRefund,
    ) -> None:
        self._records = records
        self._provider = provider
        self._ledger = ledger
        self._earned = earned
        self._clock = clock
        self._faults = faults
        self._observer = observer
        self._failing = failing

    async def drive(self, refund_id: UUID) -> Refund:
        """Returns the refund as it stands when nothing more can be done now. Raises RefundNotFound, OutcomeUnknown, PointsRefused."""
        return await self._drive(*await self._records.read(refund_id))

    async def _drive(self, refund: Refund, payment: Payment, order: Order) -> Refund:
        if refund.state is RefundState.FAILED:
            # Whoever drove it may have died with the points on their way.
            return await self._give_points(refund, payment) if refund.gives_points and not refund.points_done else refund
        if refund.take_back_done:
            return refund
        if not payment.is_final:
            raise OutcomeUnknown("the payment has not come to its end")
        if refund.card_minor and not refund.card_done:
            refund = await self._give_card(refund, payment)
            if refund.state is RefundState.FAILED:
                return refund
        if not refund.points_done:
            refund = await self._give_points(refund, payment)
        if payment.settled and may_earn_later(order):
            # When its points come, it is driven once more.
            return await self._through(refund, changes.given_back)
        return await self._take_back(refund, payment, order)

    async def _give_card(self, refund: Refund, payment: Payment) -> Refund:
        answer = await self._ask(refund, payment)
        self._faults.reach("refund_asked_card")
        if answer.standing is RefundStanding.PENDING:
            await self._records.record(refund.id, lambda now, paid: (changes.card_awaited(now, answer.reference), paid))
            raise OutcomeUnknown("the provider works on it")
        if answer.standing is RefundStanding.FAILED:
            if answer.reference:
                # A message may have said before that it was through.
                await self._records.record(refund.id, lambda now, paid: (now, paid), (self._fact(FactKind.REFUND_FAILED, refund, answer),))
            return await self._failing.fail(refund, answer.reference, answer.failure)
        fact = self._fact(FactKind.REFUNDED, refund, answer)
        return await self._records.record(refund.id, lambda now, paid: (changes.card_given(now, answer.reference), paid), (fact,))

    def _fact(self, kind: FactKind, refund: Refund, answer: ProviderRefund) -> Fact:
        at = self._clock.now().replace(microsecond=0)
        return Fact(kind, answer.reference, at, refund.card_minor, refund.currency, answer.failure)

    async def _ask(self, refund: Refund, payment: Payment) -> ProviderRefund:
        if refund.provider_reference:
            return await self._provider.get_refund(refund)
        try:
            return await self._provider.refund(refund, payment)
        except KeySpent:
            found = await self._provider.find_refund(refund, payment)
            if found is not None:
                return found
            await self._records.record(refund.id, lambda now, paid: (changes.new_attempt(now, spent=refund.attempt), paid))
            raise
        except ProviderRejected as rejected:
            return ProviderRefund("", RefundStanding.FAILED, rejected.code)

    async def _give_points(self, refund: Refund, payment: Payment) -> Refund:
        if refund.points_minor and payment.points_standing is Points.CAPTURED:
            await self._ledger.give_back(refund, payment)
            self._faults.reach("refund_asked_points")
        return await self._records.record(refund.id, changes.points_given)

    async def _take_back(self, refund: Refund, payment: Payment, order: Order) -> Refund:
        """Takes back what the order earned by this payment, if it earned anything. Waits until that is final."""
        earns = payment.settled and order.points_state not in (PointsState.NOT_YET, PointsState.NONE)
        credit = await self._earned.credit(order.customer_id, order.number) if earns else None
        if credit is not None:
            operation, earned_minor = credit
            refund = await self._records.decide_take_back(refund.id, earned_minor)
            if refund.points_taken_back_minor:
                await self._ledger.take_back(refund, operation, refund.points_taken_back_minor)
        self._faults.reach("refund_asked_take_back")
        after = await self._through(refund, changes.completed)
        taken_back = after.points_taken_back_minor
        log.info("refunded", refund=refund.name, card=refund.card_minor, points=refund.points_minor, taken_back_minor=taken_back)
        return after

    async def _through(self, refund: Refund, change: Callable[[Refund, datetime], Refund]) -> Refund:
        """Records that the customer has all of it back. Of several who drive it, the one who finds it PENDING under the lock counts it."""
        now, ended = self._clock.now(), []

        def changed(current: Refund, paid: Payment) -> tuple[Refund, Payment]:
            after = change(current, now)
            if current.state is RefundState.PENDING and after.state is RefundState.SUCCEEDED:
                ended.append(after.state)
            return after, paid

        after = await self._records.record(refund.id, changed)
        for state in ended:
            self._observer.refund_ended(state)
        return after
