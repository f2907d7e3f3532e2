"""Reads the provider's JSON: intents, refunds and events become facts.

Field names and states are those of the PaymentIntents API (docs.stripe.com/api/payment_intents/object and
docs.stripe.com/payments/paymentintents/lifecycle).
Documents come from outside: whatever is missing or of another shape raises Nonsense, never anything else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from services.orders.application.payments.ports import Intent, ProviderEvent, ProviderRefund, RefundStanding
from services.orders.domain.payments.facts import Fact, FactKind

_REFUND_STANDINGS = {
    "pending": RefundStanding.PENDING,
    "requires_action": RefundStanding.PENDING,
    "succeeded": RefundStanding.SUCCEEDED,
    "failed": RefundStanding.FAILED,
    "canceled": RefundStanding.FAILED,
}
_AMOUNT_MAX = 10**15
_TEXT_MAX = 500
# With the first a payer can confirm a payment; the addresses and scripts in the second have it in them. It is nobody else's business.
_SECRETS = ("client_secret", "next_action")


class Nonsense(Exception):
    """A document is not what it should be."""


def parse(body: bytes) -> Mapping[str, Any]:
    """Raises Nonsense."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Nonsense("not JSON") from None
    if not isinstance(document, dict):
        raise Nonsense("not an object")
    return document


def without_secrets(body: bytes) -> bytes:
    """Returns JSON without what payers confirm payments with, wherever in it that stands; nothing is read from it differently."""
    return json.dumps(json.loads(body, object_hook=_without_secrets)).encode()


def _without_secrets(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in _SECRETS}


def intent_of(document: Mapping[str, Any], at: datetime) -> Intent:
    """Reads a payment_intent as it was at a time. Raises Nonsense."""
    return Intent(
        reference=_text(document, "id"),
        payment_id=_metadata(document, "payment_id"),
        facts=tuple(_facts(document, at)),
        client_secret=_text(document, "client_secret", missing=""),
        redirect_url=_redirect_url(document),
    )


def _facts(document: Mapping[str, Any], at: datetime) -> list[Fact]:
    status, charge, currency = _text(document, "status"), _text(document, "latest_charge", missing=""), _text(document, "currency").upper()
    reference = _text(document, "id")
    match status:
        case "requires_payment_method" if document.get("last_payment_error"):
            return [Fact(FactKind.DECLINED, f"{reference}:{charge}", at, detail=decline_code(_object(document, "last_payment_error")))]
        case "requires_payment_method" | "requires_confirmation":
            return [Fact(FactKind.OPENED, reference, at)]
        case "requires_action":
            return [Fact(FactKind.ACTION_REQUIRED, reference, at)]
        case "processing":
            return [Fact(FactKind.PROCESSING, reference, at)]
        case "requires_capture":
            return [Fact(FactKind.AUTHORIZED, reference, at, _amount(document, "amount_capturable"), currency)]
        case "succeeded":
            return [Fact(FactKind.CAPTURED, charge or reference, at, _amount(document, "amount_received"), currency)]
        case "canceled":
            return [Fact(FactKind.CANCELLED, reference, at, detail=_text(document, "cancellation_reason", missing=""))]
        case _:
            raise Nonsense(f"status {status[:40]}")


def decline_code(error: Mapping[str, Any]) -> str:
    """Returns why a card was declined, as precisely as the provider says."""
    return _text(error, "decline_code", missing="") or _text(error, "code", missing="") or "declined"


def refund_of(document: Mapping[str, Any]) -> ProviderRefund:
    """Reads a refund. Raises Nonsense."""
    status = _text(document, "status")
    if status not in _REFUND_STANDINGS:
        raise Nonsense(f"refund status {status[:40]}")
    failure, refund_id = _text(document, "failure_reason", missing=""), _metadata(document, "refund_id")
    return ProviderRefund(_text(document, "id"), _REFUND_STANDINGS[status], failure, refund_id)


def refund_facts(document: Mapping[str, Any], at: datetime) -> tuple[Fact, ...]:
    """Returns what a refund adds to its payment. Raises Nonsense."""
    standing = refund_of(document).standing
    if standing is RefundStanding.PENDING:
        return ()
    kind = FactKind.REFUNDED if standing is RefundStanding.SUCCEEDED else FactKind.REFUND_FAILED
    amount, currency = _amount(document, "amount"), _text(document, "currency").upper()
    return (Fact(kind, _text(document, "id"), at, amount, currency, _text(document, "failure_reason", missing="")),)


def event_of(document: Mapping[str, Any]) -> ProviderEvent:
    """Reads an event; of kinds that do not concern us it has no intent and no facts. Raises Nonsense."""
    kind, subject = _text(document, "type"), _object(_object(document, "data"), "object")
    created = _time(document, "created")
    event = ProviderEvent(_text(document, "id"), kind, "", "", created, ())
    if kind.startswith("payment_intent."):
        intent = intent_of(subject, created)
        return _about(event, intent.reference, intent.payment_id, intent.facts, None)
    if kind.startswith("refund.") or kind == "charge.refund.updated":
        facts = refund_facts(subject, created)
        return _about(event, _text(subject, "payment_intent", missing=""), _metadata(subject, "payment_id"), facts, refund_of(subject))
    return event


def _about(event: ProviderEvent, intent: str, payment_id: str, facts: tuple[Fact, ...], refund: ProviderRefund | None) -> ProviderEvent:
    return ProviderEvent(event.id, event.kind, intent, payment_id, event.created_at, facts, refund)


def _redirect_url(document: Mapping[str, Any]) -> str:
    action = document.get("next_action")
    redirect = action.get("redirect_to_url") if isinstance(action, dict) else None
    return _text(redirect, "url", missing="") if isinstance(redirect, dict) else ""


def _metadata(document: Mapping[str, Any], name: str) -> str:
    metadata = document.get("metadata")
    return _text(metadata, name, missing="") if isinstance(metadata, dict) else ""


def _text(document: Mapping[str, Any], name: str, missing: str | None = None) -> str:
    value = document.get(name)
    if value is None and missing is not None:
        return missing
    if not isinstance(value, str) or len(value) > _TEXT_MAX or "\x00" in value:
        raise Nonsense(f"{name} is not a text")
    return value


def _amount(document: Mapping[str, Any], name: str) -> int:
    value = document.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _AMOUNT_MAX:
        raise Nonsense(f"{name} is not an amount")
    return value


def _time(document: Mapping[str, Any], name: str) -> datetime:
    try:
        return datetime.fromtimestamp(_amount(document, name), UTC)
    except (OverflowError, ValueError, OSError):
        raise Nonsense(f"{name} is not a time") from None


def _object(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    if not isinstance(value, dict):
        raise Nonsense(f"{name} is not an object")
    return value
