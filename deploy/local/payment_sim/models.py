"""What the provider keeps: payment intents, charges, refunds, events, and answers under idempotency keys.

All values are those of JSON, so that a record can be stored as it is. Times are seconds since 1970, amounts the smallest unit of the
currency. Fields that end the record's description as the API shows it are the simulator's own: what is due when, and which card it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Intent:
    """A payment intent. `due_at` is when `due` happens by itself: `settle` (a processing charge ends) or `expire` (a hold lapses)."""

    id: str
    secret: str
    created: int
    amount: int
    currency: str
    capture_method: str
    metadata: dict[str, str]
    payment_method_types: list[str]
    automatic_methods: bool = False
    description: str | None = None
    status: str = "requires_payment_method"
    payment_method: str | None = None
    latest_charge: str | None = None
    amount_capturable: int = 0
    amount_received: int = 0
    next_action: Document | None = None
    return_url: str | None = None
    last_error: Document | None = None
    canceled_at: int | None = None
    cancellation_reason: str | None = None
    card: str = ""
    due: str = ""
    due_at: float | None = None

    @property
    def client_secret(self) -> str:
        return f"{self.id}_secret_{self.secret}"


@dataclass(frozen=True, slots=True)
class Charge:
    """One attempt to take an intent's money; `amount_refunded` counts refunds that have not failed."""

    id: str
    intent: str
    created: int
    amount: int
    currency: str
    metadata: dict[str, str]
    status: str
    captured: bool = False
    amount_captured: int = 0
    amount_refunded: int = 0
    capture_before: int | None = None
    failure_code: str | None = None
    failure_message: str | None = None


@dataclass(frozen=True, slots=True)
class Refund:
    """Money on its way back. At `due_at` it becomes `due`, `succeeded` or `failed`."""

    id: str
    intent: str
    charge: str
    created: int
    amount: int
    currency: str
    metadata: dict[str, str]
    reason: str | None
    status: str
    failure_reason: str | None = None
    due: str = ""
    due_at: float | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, with the object as it was then. `intent` is the payment it belongs to."""

    id: str
    created: int
    type: str
    object: Document
    intent: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event on its way to the webhook endpoint. `flaw` is what is wrong with the next attempt, empty if nothing."""

    id: str
    event: str
    due_at: float
    attempt: int = 0
    flaw: str = ""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The answer to the first request under an idempotency key, which every later one gets."""

    id: str
    created: float
    fingerprint: str
    path: str
    status: int
    body: str
    request_id: str


Record = Intent | Charge | Refund | Event | Delivery | KeptAnswer
KINDS: dict[str, type[Record]] = {
    "intent": Intent,
    "charge": Charge,
    "refund": Refund,
    "event": Event,
    "delivery": Delivery,
    "key": KeptAnswer,
}
KIND_OF: dict[type[Record], str] = {record: kind for kind, record in KINDS.items()}
