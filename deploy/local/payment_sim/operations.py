"""What requests ask for: their parameters are read first, and give what is to be done. Reading raises ApiError, and so does the doing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import dropwhile, islice, takewhile
from typing import TypeVar

from deploy.local.payment_sim import cards, machine
from deploy.local.payment_sim.books import Books, new_id
from deploy.local.payment_sim.documents import event_document, intent_document, list_document, refund_document
from deploy.local.payment_sim.errors import ApiError, invalid, missing_parameter, no_such
from deploy.local.payment_sim.forms import Params, whole
from deploy.local.payment_sim.machine import Work
from deploy.local.payment_sim.models import Document, Event, Intent, Record, Refund

R = TypeVar("R", bound=Record)
Command = Callable[[Work], Document]
Question = Callable[[Books], Document]

LIMIT_MAX = 100
CAPTURE_METHODS = ("automatic", "automatic_async", "manual")
CANCELLATION_REASONS = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")
_CREATE = (
    *("amount", "currency", "capture_method", "confirm", "confirmation_method", "description", "metadata", "payment_method"),
    *("payment_method_types", "automatic_payment_methods", "return_url", "off_session", "use_stripe_sdk", "receipt_email", "customer"),
)


def create_intent(params: Params) -> Command:
    params.only(_CREATE)
    amount, currency = params.amount("amount"), params.required("currency").lower()
    if amount is None:
        raise missing_parameter("amount")
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha()):
        raise invalid("currency", f"Invalid currency: {currency[:10]}")
    confirming, return_url = params.flag("confirm"), params.text("return_url")
    if return_url and not confirming:
        raise invalid("return_url", "`return_url` can only be used with `confirm`=true")
    types, automatic = params.texts("payment_method_types"), params.nested("automatic_payment_methods")
    if confirming and not types and automatic.get("allow_redirects") != "never" and not return_url:
        raise invalid(
            "return_url",
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. Because some of these payment methods"
            " might redirect your customer off of your page, you must provide a `return_url`.",
        )
    card = _card(params)
    made = Intent(
        id=new_id("pi_3"),
        secret=new_id(""),
        created=0,
        amount=amount,
        currency=currency,
        capture_method=params.choice("capture_method", CAPTURE_METHODS) or "automatic_async",
        metadata=params.metadata(),
        payment_method_types=types or ["card"],
        automatic_methods=not types,
        description=params.text("description"),
        return_url=return_url,
    )

    def command(work: Work) -> Document:
        fresh = replace(made, created=int(work.now))
        intent = machine.create(work, machine.attach(fresh, card) if card else fresh)
        return intent_document(machine.confirm(work, intent) if confirming else intent)

    return command


def confirm_intent(name: str, params: Params) -> Command:
    params.only(("payment_method", "return_url", "off_session", "use_stripe_sdk", "receipt_email", "client_secret"))
    card, return_url = _card(params), params.text("return_url")

    def command(work: Work) -> Document:
        intent = work.get(Intent, name, "intent")
        given = machine.attach(intent, card) if card and intent.status in machine.CONFIRMABLE else intent
        return intent_document(machine.confirm(work, replace(given, return_url=return_url or given.return_url)))

    return command


def capture_intent(name: str, params: Params) -> Command:
    params.only(("amount_to_capture", "metadata", "final_capture"))
    amount = params.amount("amount_to_capture")
    return lambda work: intent_document(machine.capture(work, work.get(Intent, name, "intent"), amount))


def cancel_intent(name: str, params: Params) -> Command:
    params.only(("cancellation_reason",))
    reason = params.choice("cancellation_reason", CANCELLATION_REASONS)
    return lambda work: intent_document(machine.cancel(work, work.get(Intent, name, "intent"), reason))


def complete_action(name: str, *, succeeded: bool) -> Command:
    return lambda work: intent_document(machine.complete_action(work, work.get(Intent, name, "intent"), succeeded=succeeded))


def create_refund(params: Params) -> Command:
    params.only(("payment_intent", "amount", "metadata", "reason"))
    name, amount, metadata = params.required("payment_intent"), params.amount("amount"), params.metadata()
    reason = params.choice("reason", ("duplicate", "fraudulent", "requested_by_customer"))
    return lambda work: refund_document(machine.refund(work, work.get(Intent, name, "payment_intent"), amount, metadata, reason))


def get_intent(name: str, params: Params) -> Question:
    params.only(("client_secret",))
    return lambda books: intent_document(_found(books, Intent, name, "intent", "payment_intent"))


def get_refund(name: str) -> Question:
    return lambda books: refund_document(_found(books, Refund, name, "id", "refund"))


def get_event(name: str) -> Question:
    return lambda books: _event(books, _found(books, Event, name, "id", "event"))


def list_refunds(params: Params) -> Question:
    params.only(("payment_intent", "limit", "starting_after"))
    intent, limit, after = params.text("payment_intent"), _limit(params), params.text("starting_after")

    def question(books: Books) -> Document:
        newest_first = reversed(books.refunds_of(intent)) if intent else books.newest_first(Refund)
        page, more = _page(books, newest_first, Refund, after, limit)
        return list_document([refund_document(refund) for refund in page], url="/v1/refunds", has_more=more)

    return question


def list_events(params: Params) -> Question:
    params.only(("created", "limit", "starting_after", "type"))
    created, limit, after, kind = params.nested("created"), _limit(params), params.text("starting_after"), params.text("type")
    since = whole("created[gte]", created.get("gte", "0"))

    def question(books: Books) -> Document:
        recent = takewhile(lambda event: event.created >= since, books.newest_first(Event))
        page, more = _page(books, (event for event in recent if kind in (None, event.type)), Event, after, limit)
        return list_document([_event(books, event) for event in page], url="/v1/events", has_more=more)

    return question


def _event(books: Books, event: Event) -> Document:
    return event_document(event, pending_webhooks=books.pending_webhooks(event.id))


def _page(books: Books, records: Iterator[R], kind: type[R], after: str | None, limit: int) -> tuple[list[R], bool]:
    if after is not None:
        _found(books, kind, after, "starting_after", kind.__name__.lower())
        records = islice(dropwhile(lambda record: record.id != after, records), 1, None)
    page = list(islice(records, limit + 1))
    return page[:limit], len(page) > limit


def _found(books: Books, kind: type[R], name: str, param: str, called: str) -> R:
    found = books.find(kind, name)
    if found is None:
        raise no_such(called, name, param)
    return found


def _limit(params: Params) -> int:
    text = params.text("limit")
    limit = 10 if text is None else whole("limit", text)
    if not 1 <= limit <= LIMIT_MAX:
        raise invalid("limit", f"This value must be from 1 to {LIMIT_MAX}.")
    return limit


def _card(params: Params) -> str:
    name = params.text("payment_method")
    if name is None:
        return ""
    card = cards.known(name)
    if card is None:
        raise ApiError(400, f"No such PaymentMethod: '{name}'", code="resource_missing", param="payment_method")
    return card
