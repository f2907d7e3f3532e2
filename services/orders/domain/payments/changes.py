"""How payments and refunds change by what is learnt of them. Pure: one in, one out.

Whoever decided on a change did so by the payment as it was then, and others drive it too. So each change looks at the payment as it is now,
and is none if that no longer allows it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from services.orders.domain.payments.facts import Standing
from services.orders.domain.payments.model import Card, Payment, PaymentState, Points, Refund, RefundState, Wish


def with_standing(payment: Payment, standing: Standing) -> Payment:
    """Returns the payment as all facts together say it is. What does not fit it puts it in quarantine, for people to look at."""
    declined = standing.card is Card.DECLINED
    return replace(
        payment,
        card_standing=standing.card,
        captured_minor=standing.captured_minor,
        refunded_minor=min(standing.refunded_minor, standing.captured_minor),
        authorized_at=standing.authorized_at,
        captured_at=standing.captured_at,
        redirect_url=payment.redirect_url if standing.card is Card.ACTION_REQUIRED else "",
        failure=(standing.detail or "declined") if declined else payment.failure,
        quarantined=payment.quarantined or bool(standing.mismatch),
    )


def asked(payment: Payment) -> Payment:
    """Notes that the provider is about to be asked: whether it heard us is not known from here on. Never of a payment that is given up."""
    is_due = payment.card_standing is Card.NOT_ASKED and _is_begun(payment)
    return replace(payment, card_standing=Card.ASKED) if is_due else payment


def never_asked(payment: Payment, failure: str) -> Payment:
    """Notes that the provider refused to make an intent at all: there is nothing of it at the provider."""
    if payment.card_standing is not Card.ASKED:
        return payment
    return given_up(replace(payment, card_standing=Card.NOT_ASKED), Wish.FAIL, failure)


def another_attempt(payment: Payment, spent: int) -> Payment:
    """Returns the payment with new keys, now that it is known that nothing came of those of the `spent` attempt; once."""
    return replace(payment, attempt=spent + 1) if payment.attempt == spent else payment


def with_intent(payment: Payment, reference: str, client_secret: str = "", redirect_url: str = "") -> Payment:
    """Notes the provider's name of the payment, and what the payer needs to confirm it, if that is said."""
    known = replace(payment, intent=reference, client_secret=client_secret or payment.client_secret)
    return replace(known, redirect_url=redirect_url) if redirect_url and payment.card_standing is Card.ACTION_REQUIRED else known


def points_asked(payment: Payment) -> Payment:
    """Notes that the ledger is about to be asked to hold points. Never of a payment that is given up."""
    is_due = payment.points_standing is Points.NONE and _is_begun(payment)
    return replace(payment, points_standing=Points.ASKED) if is_due else payment


def points_held(payment: Payment, hold: str) -> Payment:
    return replace(payment, hold=hold, points_standing=Points.HELD) if payment.points_standing <= Points.HELD else payment


def points_refused(payment: Payment, reason: str) -> Payment:
    if payment.points_standing is not Points.ASKED:
        return payment
    refused = replace(payment, points_standing=Points.REFUSED, failure=reason)
    return given_up(refused, Wish.FAIL)


def points_captured(payment: Payment, operation: str) -> Payment:
    return replace(payment, points_operation=operation, points_standing=Points.CAPTURED, points_captured_minor=payment.points_minor)


def points_released(payment: Payment) -> Payment:
    return replace(payment, points_standing=Points.RELEASED) if payment.holds_points else payment


def given_up(payment: Payment, wish: Wish, failure: str = "") -> Payment:
    """Returns the payment with the wish to end it. Whether that comes true is for the provider to say."""
    if payment.wish is not Wish.PAY or payment.settled or payment.is_final:
        return payment
    return replace(payment, wish=wish, failure=payment.failure or failure)


def settled(payment: Payment) -> Payment:
    """Notes that the order is paid by it."""
    return replace(payment, settled=True)


def finished(payment: Payment) -> Payment:
    """Returns the payment in its final state, if there is nothing left to do."""
    if payment.is_final or payment.holds_points:
        return payment
    if payment.settled:
        return replace(payment, state=PaymentState.CAPTURED, failure="")
    if payment.wish is Wish.PAY or not _is_through_with_card(payment):
        return payment
    return replace(payment, state=PaymentState.CANCELLED if payment.wish is Wish.GIVE_UP else PaymentState.FAILED)


def _is_through_with_card(payment: Payment) -> bool:
    """Tells whether a payment that is to end unpaid may: no money can come of it, or what came is refused and goes back."""
    if payment.card_standing is Card.CAPTURED:
        return payment.wish is Wish.REFUSE
    return payment.card_standing in (Card.NOT_ASKED, Card.CANCELLED)


def _is_begun(payment: Payment) -> bool:
    """Tells whether the payment may still do what brings it forward for the first time."""
    return payment.wish is Wish.PAY and not payment.is_final


def shown(payment: Payment, now: datetime) -> Payment:
    """Returns the payment with the state that callers see, as a change at this time; what is only needed to pay goes with its end."""
    changed = replace(payment, state=_state(payment), version=payment.version + 1, updated_at=max(now, payment.updated_at))
    return replace(changed, card="", client_secret="", redirect_url="") if changed.is_final else changed


def is_same(before: Payment, after: Payment) -> bool:
    """Tells whether nothing was learnt."""
    return shown(before, before.updated_at) == shown(after, before.updated_at)


def _state(payment: Payment) -> PaymentState:
    if payment.is_final:
        return payment.state
    if payment.quarantined or payment.settled or payment.wish is not Wish.PAY:
        return PaymentState.PENDING
    match payment.card_standing:
        case Card.NOT_ASKED:
            waits_for_review = not payment.card_minor and payment.manual_capture and payment.points_standing is Points.HELD
            return PaymentState.AUTHORIZED if waits_for_review else PaymentState.STARTED
        case Card.OPEN:
            return PaymentState.CONFIRMATION_REQUIRED
        case Card.DECLINED:
            return PaymentState.PENDING if payment.card else PaymentState.CONFIRMATION_REQUIRED
        case Card.ACTION_REQUIRED:
            return PaymentState.ACTION_REQUIRED
        case Card.AUTHORIZED:
            return PaymentState.AUTHORIZED
        case _:
            return PaymentState.PENDING


def card_awaited(refund: Refund, reference: str) -> Refund:
    """Notes that the provider works on the card's share."""
    return refund if refund.state is RefundState.FAILED else replace(refund, provider_reference=reference)


def card_given(refund: Refund, reference: str) -> Refund:
    """Notes that the card's share is through, unless that has turned out to be wrong since."""
    return refund if refund.state is RefundState.FAILED else replace(refund, provider_reference=reference, card_done=True)


def card_refused(refund: Refund, reference: str, failure: str) -> Refund:
    """Notes that the provider refused the card's share for good, or could not bring it home after it had said that it was through.

    What went back in points stays given, and if the card's share had been through, they may be on their way.
    """
    named = reference or refund.provider_reference
    return replace(refund, provider_reference=named, state=RefundState.FAILED, failure=failure or "failed", finished_at=None)


def new_attempt(refund: Refund, spent: int) -> Refund:
    """Returns the refund with a new key, now that it is known that nothing came of that of the `spent` attempt; once."""
    return replace(refund, attempt=spent + 1) if refund.attempt == spent else refund


def points_given(refund: Refund, payment: Payment) -> tuple[Refund, Payment]:
    """Notes that the points' share is through; once."""
    if refund.points_done or payment.points_standing is not Points.CAPTURED:
        return replace(refund, points_done=True), payment
    returned = payment.points_returned_minor + refund.points_minor
    return replace(refund, points_done=True), replace(payment, points_returned_minor=returned)


def take_back_decided(refund: Refund, points_minor: int) -> Refund:
    """Notes how many points are about to be taken back: asked again, it is as many."""
    return replace(refund, points_taken_back_minor=points_minor)


def given_back(refund: Refund, now: datetime) -> Refund:
    """Notes that the customer has back what they paid."""
    if refund.state is RefundState.FAILED:
        return refund
    return replace(refund, state=RefundState.SUCCEEDED, finished_at=refund.finished_at or now)


def completed(refund: Refund, now: datetime) -> Refund:
    """Returns the refund as it is when all of it is through, the points that were earned too."""
    if refund.state is RefundState.FAILED:
        return refund
    return replace(given_back(refund, now), take_back_done=True)
