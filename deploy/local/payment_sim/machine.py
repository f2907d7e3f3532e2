"""How intents and refunds change, as the provider does it (docs.stripe.com/payments/paymentintents/lifecycle).

    requires_payment_method -> requires_confirmation -> requires_action -> processing -> requires_capture -> succeeded | canceled

Declined intents go back to requires_payment_method. Each change leaves its events; nothing here waits or stores.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import NoReturn, TypeVar

from deploy.local.payment_sim import cards
from deploy.local.payment_sim.books import Draft, new_id
from deploy.local.payment_sim.documents import charge_document, intent_document, refund_document
from deploy.local.payment_sim.errors import DOCS, ApiError, invalid, no_such, unexpected_state
from deploy.local.payment_sim.models import Charge, Document, Event, Intent, Record, Refund

R = TypeVar("R", bound=Record)
CANCELLABLE = ("requires_payment_method", "requires_capture", "requires_confirmation", "requires_action")
CONFIRMABLE = ("requires_payment_method", "requires_confirmation", "requires_action")
AUTHENTICATION_FAILED = "payment_intent_authentication_failure"


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds: how long a charge or a refund takes that does not succeed at once, and how long authorised money is held."""

    processing_s: float = 1.0
    refund_s: float = 1.0
    hold_s: float = 7 * 86_400.0


@dataclass(slots=True)
class Work:
    """One request or one lapse of time: the draft that it writes, and when and where it happens.

    `shown_at` is when a request is answered: webhooks about it are not sent before.
    `base_url` is where the payer's browser reaches us. `forced_card` is used in place of the payer's; `capture_less` captures less.
    """

    draft: Draft
    now: float
    shown_at: float
    delays: Delays
    base_url: str = ""
    forced_card: str = ""
    capture_less: bool = False
    events: list[Event] = field(default_factory=list)

    def get(self, kind: type[R], name: str, param: str) -> R:
        """Raises ApiError."""
        found = self.draft.find(kind, name)
        if found is None:
            raise no_such("payment_intent" if kind is Intent else kind.__name__.lower(), name, param)
        return found

    def store(self, record: Intent | Charge | Refund, *events: str) -> None:
        """Stores a record and one event of each type about it, as it is now."""
        self.draft.put(record)
        for type_ in events:
            intent = record.id if isinstance(record, Intent) else record.intent
            event = Event(new_id("evt_"), int(self.now), type_, _shown(record), intent)
            self.events.append(event)
            self.draft.put(event)

    def charge_of(self, intent: Intent) -> Charge:
        charge = self.draft.find(Charge, intent.latest_charge or "")
        assert charge is not None, f"{intent.id} is {intent.status} without a charge"
        return charge


def _shown(record: Intent | Charge | Refund) -> Document:
    if isinstance(record, Intent):
        return intent_document(record)
    return charge_document(record) if isinstance(record, Charge) else refund_document(record)


def create(work: Work, intent: Intent) -> Intent:
    """Adds an intent that nobody has confirmed."""
    opened = replace(intent, status="requires_confirmation") if intent.card else intent
    work.store(opened, "payment_intent.created")
    return opened


def attach(intent: Intent, card: str) -> Intent:
    """Returns the intent with this payment method."""
    return replace(intent, card=card, payment_method=new_id("pm_1"))


def confirm(work: Work, intent: Intent) -> Intent:
    """Charges the intent's card, or asks the payer first. Raises ApiError: a decline has happened nevertheless."""
    if intent.status not in CONFIRMABLE:
        _refuse(intent, "confirm", "confirmed", CONFIRMABLE)
    if work.forced_card:
        intent = attach(intent, work.forced_card)
    if not intent.card:
        raise unexpected_state(
            intent.id,
            "You cannot confirm this PaymentIntent because it's missing a payment method. Update the PaymentIntent with a payment method"
            " and then confirm it again.",
        )
    if cards.CARDS[intent.card].needs_action:
        waiting = replace(intent, status="requires_action", next_action=_next_action(work, intent), last_error=None)
        work.store(waiting, "payment_intent.requires_action")
        return waiting
    return _charge(work, intent)


def complete_action(work: Work, intent: Intent, *, succeeded: bool) -> Intent:
    """The payer has been asked. Raises ApiError as `confirm` does."""
    if intent.status != "requires_action":
        raise unexpected_state(intent.id, f"The PaymentIntent has a status of {intent.status}: there is no action to complete.")
    done = replace(intent, next_action=None)
    if succeeded:
        return _charge(work, done)
    message = "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new PaymentMethod."
    error = {"code": AUTHENTICATION_FAILED, "doc_url": DOCS + AUTHENTICATION_FAILED.replace("_", "-"), "message": message}
    failed = replace(done, status="requires_payment_method", payment_method=None, card="", latest_charge=None)
    failed = replace(failed, last_error={**error, "type": "invalid_request_error"})
    work.store(failed, "payment_intent.payment_failed")
    raise ApiError(400, message, code=AUTHENTICATION_FAILED, intent=intent.id, kept=True)


def _next_action(work: Work, intent: Intent) -> Document:
    """Without an address to return to the provider leaves the redirect to its own library in the browser."""
    url = f"{work.base_url}/pay/{intent.client_secret}"
    if intent.return_url:
        return {"type": "redirect_to_url", "redirect_to_url": {"return_url": intent.return_url, "url": url}}
    return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": url}}


def _charge(work: Work, intent: Intent) -> Intent:
    card = cards.CARDS[intent.card]
    charge = Charge(new_id("ch_"), intent.id, int(work.now), intent.amount, intent.currency, intent.metadata, "pending")
    charged = replace(intent, latest_charge=charge.id, last_error=None, next_action=None)
    if card.processes:
        processing = replace(charged, status="processing", due="settle", due_at=work.shown_at + work.delays.processing_s)
        work.store(charge, "charge.pending")
        work.store(processing, "payment_intent.processing")
        return processing
    return _settle(work, charged, charge)


def _settle(work: Work, intent: Intent, charge: Charge) -> Intent:
    """Ends a charge. Raises ApiError if it is declined."""
    card = cards.CARDS[intent.card]
    if card.is_declined:
        _decline(work, intent, charge, card)
    if intent.capture_method != "manual":
        work.store(replace(charge, status="succeeded", captured=True, amount_captured=charge.amount), "charge.succeeded")
        return _succeed(work, intent, intent.amount)
    lapses_at = work.now + work.delays.hold_s
    work.store(replace(charge, status="succeeded", capture_before=int(lapses_at)), "charge.succeeded")
    held = replace(intent, status="requires_capture", amount_capturable=intent.amount, due="expire", due_at=lapses_at)
    work.store(held, "payment_intent.amount_capturable_updated")
    return held


def _succeed(work: Work, intent: Intent, amount: int) -> Intent:
    paid = replace(intent, status="succeeded", amount_received=amount, amount_capturable=0, due="", due_at=None)
    work.store(paid, "payment_intent.succeeded")
    return paid


def _decline(work: Work, intent: Intent, charge: Charge, card: cards.Card) -> NoReturn:
    details: Document = {"charge": charge.id, "decline_code": card.decline_code}
    error = ApiError(402, card.message, type="card_error", code=card.code, intent=intent.id, kept=True, details=details)
    failed = replace(charge, status="failed", failure_code=card.code, failure_message=card.message)
    work.store(failed, "charge.failed")
    back = replace(intent, status="requires_payment_method", payment_method=None, card="", last_error=error.error, due="", due_at=None)
    work.store(back, "payment_intent.payment_failed")
    raise error


def capture(work: Work, intent: Intent, amount: int | None) -> Intent:
    """Takes the held money, or a part of it and lets the rest go. Raises ApiError."""
    if intent.status != "requires_capture":
        raise unexpected_state(
            intent.id,
            f"This PaymentIntent could not be captured because it has a status of {intent.status}. Only a PaymentIntent with one of the"
            " following statuses may be captured: requires_capture.",
        )
    wanted = (amount or intent.amount_capturable) - (1 if work.capture_less else 0)
    if wanted > intent.amount_capturable:
        raise invalid("amount_to_capture", "The amount to capture is more than the amount that can be captured.", "amount_too_large")
    charge = work.charge_of(intent)
    work.store(replace(charge, captured=True, amount_captured=wanted), "charge.captured")
    return _succeed(work, intent, wanted)


def cancel(work: Work, intent: Intent, reason: str | None) -> Intent:
    """Ends an intent whose money is not taken. Raises ApiError."""
    if intent.status not in CANCELLABLE:
        _refuse(intent, "cancel", "canceled", CANCELLABLE)
    return _end(work, intent, reason)


def _end(work: Work, intent: Intent, reason: str | None) -> Intent:
    over = replace(intent, status="canceled", amount_capturable=0, canceled_at=int(work.now), cancellation_reason=reason)
    over = replace(over, next_action=None, due="", due_at=None)
    work.store(over, "payment_intent.canceled")
    return over


def _refuse(intent: Intent, verb: str, done: str, allowed: tuple[str, ...]) -> NoReturn:
    raise unexpected_state(
        intent.id,
        f"You cannot {verb} this PaymentIntent because it has a status of {intent.status}. Only a PaymentIntent with one of the following"
        f" statuses may be {done}: {', '.join(allowed)}.",
    )


def refund(work: Work, intent: Intent, amount: int | None, metadata: dict[str, str], reason: str | None) -> Refund:
    """Gives money back that was taken. Raises ApiError."""
    if intent.status != "succeeded":
        raise ApiError(400, f"This PaymentIntent ({intent.id}) does not have a successful charge to refund.", kept=True)
    charge = work.charge_of(intent)
    left = charge.amount_captured - charge.amount_refunded
    if left == 0:
        raise ApiError(400, f"Charge {charge.id} has already been refunded.", code="charge_already_refunded", kept=True)
    given = amount or left
    if given > left:
        message = f"Refund amount ({given}) is greater than unrefunded amount on charge ({left})"
        raise ApiError(400, message, param="amount", kept=True)
    status, later = cards.CARDS[work.forced_card or intent.card or cards.DEFAULT].refund
    made = Refund(new_id("re_"), intent.id, charge.id, int(work.now), given, intent.currency, metadata, reason, status)
    if later:
        made = replace(made, due=later, due_at=work.shown_at + work.delays.refund_s)
    work.store(replace(charge, amount_refunded=charge.amount_refunded + given), "charge.refunded")
    work.store(made, "refund.created")
    return made


def pass_time(work: Work, due: Intent | Refund) -> None:
    """Lets happen what is due."""
    if isinstance(due, Refund):
        _end_refund(work, due)
        return
    if due.due == "expire":
        work.store(replace(work.charge_of(due)), "charge.expired")
        _end(work, due, "automatic")
        return
    # Nobody asked, so nobody is answered if it is declined: the events tell.
    with suppress(ApiError):
        _settle(work, replace(due, due="", due_at=None), work.charge_of(due))


def _end_refund(work: Work, due: Refund) -> None:
    ended = replace(due, status=due.due, due="", due_at=None)
    if due.due != "failed":
        work.store(ended, "refund.updated", "charge.refund.updated")
        return
    charge = work.draft.find(Charge, due.charge)
    assert charge is not None
    work.draft.put(replace(charge, amount_refunded=charge.amount_refunded - due.amount))
    failed = replace(ended, failure_reason="expired_or_canceled_card")
    work.store(failed, "refund.failed", "refund.updated", "charge.refund.updated")
