"""Takes the provider's messages: stored once and answered at once, worked on after that.

A message only adds facts to its payment, so it makes no difference in which order they come, how often, and whether they come at all: the
poller looks for what was never sent.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import structlog

from services.orders.application.payments.drive_payment import DrivePayment
from services.orders.application.payments.drive_refund import DriveRefund
from services.orders.application.payments.fail_refund import FailRefund
from services.orders.application.payments.observer import PaymentObserver
from services.orders.application.payments.ports import (
    CardProvider,
    Draft,
    MessageInvalid,
    Messages,
    OutcomeUnknown,
    PaymentRecords,
    ProviderEvent,
    ProviderRefund,
    RefundRecords,
    RefundStanding,
    Webhooks,
)
from services.orders.domain.errors import WebhookSignatureInvalid
from services.orders.domain.payments import changes
from services.orders.domain.payments.model import Card, Payment
from shared.clock import Clock

log = structlog.get_logger()

DONE, WAITING, QUARANTINED = "DONE", "WAITING", "QUARANTINED"
FIRST_LOOK = timedelta(hours=1)
# How late a message comes into a list that was looked through to its end; hardly ever later. Payments that wait don't depend on it: they
# are looked at one by one. But only a message tells of a refund that failed after it was through, or that was made at the provider itself.
LATE = timedelta(minutes=1)
# So more of the list is looked through again, less often and by whoever has just started: what is no later than that is found. Its half may
# pass between two such looks, and the provider's clock is not ours.
VERY_LATE = timedelta(minutes=10)
OVERLAP = 2 * VERY_LATE
# How long a payment may take to become known: as long as the provider would repeat a message.
WAITED_FOR = timedelta(days=3)
# What was worked on is kept to be shown, and so that it is known when it comes again.
KEPT = timedelta(days=60)


class TakeMessages:
    def __init__(
        self,
        webhooks: Webhooks,
        messages: Messages,
        records: PaymentRecords,
        refunds: RefundRecords,
        provider: CardProvider,
        payment_driver: DrivePayment,
        refund_driver: DriveRefund,
        clock: Clock,
        observer: PaymentObserver,
        failing: FailRefund,
    ) -> None:
        self._webhooks = webhooks
        self._messages = messages
        self._records = records
        self._refunds = refunds
        self._provider = provider
        self._payment_driver = payment_driver
        self._refund_driver = refund_driver
        self._clock = clock
        self._observer = observer
        self._failing = failing
        # What the provider's list was looked through up to, by this replica: all of it is stored. When it last looked for very late ones.
        self._listed: datetime | None = None
        self._looked_back_at = clock.now()

    async def deliver(self, body: bytes, signature: str) -> None:
        """Stores a message that came. Raises WebhookSignatureInvalid."""
        try:
            event = self._webhooks.read(body, signature)
        except MessageInvalid as error:
            self._observer.message_rejected()
            raise WebhookSignatureInvalid(str(error)) from None
        fresh = await self._keep(event, body)
        self._observer.message_came(self._clock.now() - event.created_at, is_new=fresh)
        log.info("webhook", event_id=event.id, kind=event.kind, intent=event.intent, fresh=fresh)

    async def work_on(self, event_id: str) -> None:
        """Adds what a message says to its payment, and drives that. Raises OutcomeUnknown to be called again."""
        body = await self._messages.body_of(event_id)
        if body is None:
            return
        event = self._webhooks.read_stored(body)
        if event.says_nothing:
            await self._messages.close(event_id, DONE)
            return
        payment_id = await self._records.find_by_intent(event.intent, event.payment_id)
        if payment_id is None:
            await self._messages.close(event_id, WAITING)
            if self._clock.now() - event.created_at > WAITED_FOR:
                log.error("a message about a payment that never became known", event_id=event_id, intent=event.intent)
                return
            log.warning("a message about a payment that is not known", event_id=event_id, intent=event.intent)
            raise OutcomeUnknown("the payment is not known yet")
        await self._take_in(event, payment_id)

    async def catch_up(self) -> int:
        """Looks for messages that never came; returns how many there were.

        Raises OutcomeUnknown if the provider doesn't give the list, or has too long a one.
        """
        found = await self._list(await self._not_listed_since())
        now = self._clock.now()
        if self._listed is not None and now - self._looked_back_at >= VERY_LATE:
            # Whatever comes of it: the next round looks for the latest again.
            self._looked_back_at = now
            found += await self._list(self._listed - OVERLAP)
        return found

    async def _list(self, since: datetime) -> int:
        found, newest = list[tuple[bytes, ProviderEvent]](), list[datetime]()
        async for page in self._provider.list_events(since):
            missing = await self._messages.missing([event.id for _, event in page])
            found += [(body, event) for body, event in page if event.id in missing]
            newest += [max(event.created_at for _, event in page)] if page else []
        # Oldest first: who goes on after a crash begins before the newest that is stored.
        fresh = [await self._keep(event, body) for body, event in reversed(found)]
        self._listed = max(newest, default=self._listed)
        self._observer.messages_missed(sum(fresh))
        return sum(fresh)

    async def _not_listed_since(self) -> datetime:
        if self._listed is not None:
            return self._listed - LATE
        newest = await self._messages.newest()
        return (newest or self._clock.now() - FIRST_LOOK) - OVERLAP

    async def forget(self) -> None:
        """Removes messages that were worked on long ago."""
        await self._messages.forget(self._clock.now() - KEPT)

    async def _keep(self, event: ProviderEvent, body: bytes) -> bool:
        return await self._messages.keep(event, self._webhooks.without_secrets(body))

    async def _take_in(self, event: ProviderEvent, payment_id: UUID) -> None:
        draft = Draft(lambda now: changes.with_intent(now, now.intent or event.intent), event.facts)
        known = await self._records.record(payment_id, draft)
        payment = known.payment
        if payment.quarantined:
            log.error("a message does not fit its payment: both are in quarantine", event_id=event.id, payment=payment.name)
        if event.refund is not None:
            await self._judge(event.refund, payment)
        # From here on whoever looks at payments finds what is left to do.
        await self._messages.close(event.id, QUARANTINED if payment.quarantined else DONE)
        if payment.card_standing is Card.ACTION_REQUIRED and not payment.redirect_url:
            # Where the payer has to go no message keeps: only the provider tells.
            await self._payment_driver.look(payment_id)
        else:
            await self._payment_driver.go_on(known)
        if event.refund is not None:
            refund_id = await self._refunds.find_by_reference(event.refund.reference)
            if refund_id is not None:
                await self._refund_driver.drive(refund_id)

    async def _judge(self, said: ProviderRefund, payment: Payment) -> None:
        """A refund of ours may have failed, whatever the provider said of it before; of one that is not ours people are told.

        Raises OutcomeUnknown while it is not known whether there was anything to give back.
        """
        refund_id = await self._refunds.find_by_reference(said.reference, said.refund_id)
        if refund_id is None and not payment.captured_minor:
            # A provider may call it a refund that it let go of money it never took.
            if payment.card_standing is not Card.CANCELLED:
                raise OutcomeUnknown("whether the money was taken is not known yet")
        elif refund_id is None:
            self._observer.refunded_elsewhere()
            log.error(
                "money was given back at the provider itself", payment=payment.name, refund=said.reference, standing=said.standing.value
            )
        elif said.standing is RefundStanding.FAILED:
            refund, _, _ = await self._refunds.read(refund_id)
            await self._failing.fail(refund, said.reference, said.failure)
