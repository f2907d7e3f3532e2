"""Drives a payment as far as it goes: decides the next step, does it, records what came of it, until there is nothing to do now.

Nothing is held while others are asked: each step asks and records, and goes on from what it recorded. What a crash leaves undone is done
by whoever drives next.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID

import structlog

from services.orders.application.payments.ports import (
    CardProvider,
    Draft,
    Intent,
    KeySpent,
    Known,
    OrderSteps,
    OutcomeUnknown,
    PaymentRecords,
    PointsLedger,
    PointsRefused,
    ProviderRejected,
    Refunds,
)
from services.orders.domain.payments import changes
from services.orders.domain.payments.model import Card, Payment, Points, Wish
from services.orders.domain.payments.saga import Step, next_step
from shared.faults import Faults

log = structlog.get_logger()

# A payment has a dozen steps at most; more would be a mistake of ours that must not go on for ever.
STEPS_MAX = 20
ORDER_ENDED = "order_ended"
CANCELLED_BY_PROVIDER = "cancelled_by_provider"


class DrivePayment:
    def __init__(
        self,
        records: PaymentRecords,
        provider: CardProvider,
        ledger: PointsLedger,
        orders: OrderSteps,
        refunds: Refunds,
        faults: Faults,
    ) -> None:
        self._records = records
        self._provider = provider
        self._ledger = ledger
        self._orders = orders
        self._refunds = refunds
        self._faults = faults
        self._steps: dict[Step, Callable[[Known], Awaitable[Known]]] = {
            Step.HOLD_POINTS: self._hold_points,
            Step.CREATE_INTENT: self._create_intent,
            Step.AUTHORIZE_ORDER: self._authorize_order,
            Step.CAPTURE_CARD: self._capture_card,
            Step.SETTLE_ORDER: self._settle_order,
            Step.CAPTURE_POINTS: self._capture_points,
            Step.CANCEL_INTENT: self._cancel_intent,
            Step.RELEASE_POINTS: self._release_points,
            Step.REFUND_ALL: self._refund_all,
            Step.LOSE_PAYMENT: self._lose_payment,
            Step.GIVE_UP: self._give_up,
            Step.FINISH: self._finish,
        }

    async def drive(self, payment_id: UUID) -> Payment:
        """Returns the payment as it stands when nothing more can be done now.

        Raises PaymentNotFound, OutcomeUnknown (try again), ProviderRejected and PointsRefused (somebody has to look).
        """
        return await self.go_on(await self._records.read(payment_id))

    async def go_on(self, known: Known) -> Payment:
        """Does the same for a payment that was just read, recorded or stored."""
        for _ in range(STEPS_MAX):
            step = next_step(known.payment, known.order)
            if step in (Step.WAIT, Step.DONE):
                return known.payment
            known = await self._do(step, known)
            if step is Step.REFUND_ALL:
                return known.payment
        raise OutcomeUnknown("the payment does not come to an end")

    async def look(self, payment_id: UUID) -> Payment:
        """Asks the provider how the payment stands, if it can tell, then drives it: its own message may have got lost, or our step."""
        known = await self._records.read(payment_id)
        if known.payment.is_at_provider and not known.payment.is_final:
            known = await self._record_intent(known, await self._provider.get_intent(known.payment))
        return await self.go_on(known)

    async def _do(self, step: Step, known: Known) -> Known:
        self._faults.reach(f"payment_before_{step.value}")
        known = await self._steps[step](known)
        self._faults.reach(f"payment_after_{step.value}")
        log.info("payment step", payment=known.payment.name, step=step.value)
        return known

    async def _hold_points(self, known: Known) -> Known:
        known = await self._change(known, changes.points_asked)
        if known.payment.points_standing is not Points.ASKED:
            return known
        try:
            hold = await self._ledger.hold(known.payment)
        except PointsRefused as refused:
            reason = refused.reason
            return await self._change(known, lambda now: changes.points_refused(now, reason))
        self._faults.reach("payment_asked_hold_points")
        return await self._change(known, lambda now: changes.points_held(now, hold))

    async def _create_intent(self, known: Known) -> Known:
        # A card may be charged at once: never if the payment was given up meanwhile.
        if known.payment.card or known.payment.card_standing is not Card.ASKED:
            known = await self._change(known, changes.asked)
            if known.payment.card_standing is not Card.ASKED:
                return known
        try:
            intent = await self._provider.create_intent(known.payment)
        except KeySpent:
            found = await self._provider.find_intent(known.payment)
            if found is None:
                return await self._begin_anew(known)
            intent = found
        except ProviderRejected as rejected:
            code = rejected.code
            return await self._change(known, lambda now: changes.never_asked(now, code))
        self._faults.reach("payment_asked_create_intent")
        return await self._record_intent(known, intent)

    async def _capture_card(self, known: Known) -> Known:
        return await self._move(known, self._provider.capture, "capture_card")

    async def _cancel_intent(self, known: Known) -> Known:
        return await self._move(known, self._provider.cancel, "cancel_intent")

    async def _move(self, known: Known, ask: Callable[[Payment], Awaitable[Intent]], site: str) -> Known:
        before = known.payment
        try:
            intent = await ask(before)
        except KeySpent:
            intent = await self._provider.get_intent(before)
            known = await self._begin_anew(known)
        self._faults.reach(f"payment_asked_{site}")
        known = await self._record_intent(known, intent)
        after = known.payment
        if after.card_standing is before.card_standing and not after.quarantined:
            raise OutcomeUnknown("the provider works on something else first")
        return known

    async def _authorize_order(self, known: Known) -> Known:
        await self._orders.authorize(known.payment)
        return await self._records.read(known.payment.id)

    async def _settle_order(self, known: Known) -> Known:
        is_paid = await self._orders.settle(known.payment)
        if is_paid:
            self._faults.reach("payment_asked_settle_order")
        known = await self._records.read(known.payment.id)
        if is_paid and not known.payment.settled:
            # Whoever paid the order before knew of no payment.
            return await self._change(known, changes.settled)
        return known

    async def _capture_points(self, known: Known) -> Known:
        operation = await self._ledger.capture(known.payment)
        self._faults.reach("payment_asked_capture_points")
        return await self._change(known, lambda now: changes.points_captured(now, operation))

    async def _release_points(self, known: Known) -> Known:
        if not known.payment.hold:
            # Whether the ledger heard of it is not known: asking again under the same id tells.
            return await self._hold_points(known)
        await self._ledger.release(known.payment)
        self._faults.reach("payment_asked_release_points")
        return await self._change(known, changes.points_released)

    async def _refund_all(self, known: Known) -> Known:
        payment = known.payment
        if await self._refunds.refund_all(payment.id, payment.order_id, ORDER_ENDED):
            log.error("money came too late and is given back", payment=payment.name, state=payment.state.name)
        return await self._records.read(payment.id)

    async def _lose_payment(self, known: Known) -> Known:
        await self._orders.lose_payment(known.payment)
        return await self._records.read(known.payment.id)

    async def _give_up(self, known: Known) -> Known:
        return await self._change(known, lambda now: changes.given_up(now, Wish.FAIL, now.failure or CANCELLED_BY_PROVIDER))

    async def _finish(self, known: Known) -> Known:
        return await self._change(known, changes.finished)

    async def _record_intent(self, known: Known, intent: Intent) -> Known:
        draft = Draft(lambda now: changes.with_intent(now, intent.reference, intent.client_secret, intent.redirect_url), intent.facts)
        before, known = known.payment, await self._records.record(known.payment.id, draft, known)
        if known.payment.quarantined and not before.quarantined:
            log.error("the provider says what does not fit: payment in quarantine", payment=before.name)
        return known

    async def _begin_anew(self, known: Known) -> Known:
        spent = known.payment.attempt
        return await self._change(known, lambda now: changes.another_attempt(now, spent))

    async def _change(self, known: Known, change: Callable[[Payment], Payment]) -> Known:
        return await self._records.record(known.payment.id, Draft(change), known)
