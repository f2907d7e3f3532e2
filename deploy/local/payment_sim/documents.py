"""Records as the API shows them, with the fields of API version 2026-06-24 that a payment by card has."""

from __future__ import annotations

from deploy.local.payment_sim.models import Charge, Document, Event, Intent, Refund

API_VERSION = "2026-06-24.dahlia"


def intent_document(intent: Intent) -> Document:
    return {
        "id": intent.id,
        "object": "payment_intent",
        "amount": intent.amount,
        "amount_capturable": intent.amount_capturable,
        "amount_details": {"tip": {}},
        "amount_received": intent.amount_received,
        "application": None,
        "automatic_payment_methods": {"allow_redirects": "always", "enabled": True} if intent.automatic_methods else None,
        "canceled_at": intent.canceled_at,
        "cancellation_reason": intent.cancellation_reason,
        "capture_method": intent.capture_method,
        "client_secret": intent.client_secret,
        "confirmation_method": "automatic",
        "created": intent.created,
        "currency": intent.currency,
        "customer": None,
        "description": intent.description,
        "last_payment_error": intent.last_error,
        "latest_charge": intent.latest_charge,
        "livemode": False,
        "metadata": dict(intent.metadata),
        "next_action": intent.next_action,
        "payment_method": intent.payment_method,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        "payment_method_types": list(intent.payment_method_types),
        "processing": {"type": "card", "card": {}} if intent.status == "processing" else None,
        "receipt_email": None,
        "setup_future_usage": None,
        "shipping": None,
        "statement_descriptor": None,
        "status": intent.status,
        "transfer_data": None,
        "transfer_group": None,
    }


def charge_document(charge: Charge) -> Document:
    return {
        "id": charge.id,
        "object": "charge",
        "amount": charge.amount,
        "amount_captured": charge.amount_captured,
        "amount_refunded": charge.amount_refunded,
        "captured": charge.captured,
        "created": charge.created,
        "currency": charge.currency,
        "failure_code": charge.failure_code,
        "failure_message": charge.failure_message,
        "livemode": False,
        "metadata": dict(charge.metadata),
        "paid": charge.status == "succeeded",
        "payment_intent": charge.intent,
        "payment_method_details": {"card": {"capture_before": charge.capture_before}, "type": "card"},
        "refunded": charge.captured and charge.amount_refunded == charge.amount_captured,
        "status": charge.status,
    }


def refund_document(refund: Refund) -> Document:
    shown = {
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "balance_transaction": None,
        "charge": refund.charge,
        "created": refund.created,
        "currency": refund.currency,
        "metadata": dict(refund.metadata),
        "payment_intent": refund.intent,
        "reason": refund.reason,
        "receipt_number": None,
        "status": refund.status,
    }
    return shown | ({"failure_reason": refund.failure_reason} if refund.failure_reason else {})


def event_document(event: Event, *, pending_webhooks: int) -> Document:
    return {
        "id": event.id,
        "object": "event",
        "api_version": API_VERSION,
        "created": event.created,
        "data": {"object": event.object},
        "livemode": False,
        "pending_webhooks": pending_webhooks,
        "request": {"id": None, "idempotency_key": None},
        "type": event.type,
    }


def list_document(items: list[Document], *, url: str, has_more: bool) -> Document:
    return {"object": "list", "data": items, "has_more": has_more, "url": url}
