"""What is told of an event, to whom, in which words."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from services.orders.domain.ordering.model import EventKind, Fulfilment, Order, OrderEvent, PointsState, State


class Channel(StrEnum):
    """A way to tell of events."""

    LOG = "log"
    SMTP = "smtp"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Notification:
    """An event in words. `id` is the event's name: who has seen it drops repeats.

    `body` may be told to anybody who may see the order, `confidential` only to `email`: the customer's own address, empty if there is none.
    """

    id: str
    kind: EventKind
    order: str
    order_number: str
    from_state: State | None
    to_state: State
    created_at: datetime
    subject: str
    body: str
    email: str = field(default="", repr=False)
    confidential: str = field(default="", repr=False)


# What customers are told by e-mail; of the rest only systems want to know.
_FOR_CUSTOMERS = frozenset(
    {EventKind.CREATED, EventKind.STATE_CHANGED, EventKind.OVERDUE, EventKind.POINTS_GRANTED, EventKind.LOT_RECALLED}
)
_OF_STATES = {
    State.PENDING_PAYMENT: "waits for your payment",
    State.PAID: "is paid",
    State.PREPARING: "is being prepared",
    State.SHIPPED: "is on its way",
    State.COMPLETED: "is complete",
    State.CANCELLED: "was cancelled",
    State.UNDER_REVIEW: "is being checked by a pharmacist",
    State.READY: "is ready",
    State.EXPIRED: "has expired",
    State.RETURNED: "has come back",
}
_OF_KINDS = {
    EventKind.UPDATED: "was changed",
    EventKind.CLAIMED: "is being worked on",
    EventKind.CLAIM_RELEASED: "waits for somebody to work on it",
    EventKind.REVIEWED: "was approved",
    EventKind.OVERDUE: "is still waiting for you",
    EventKind.LOT_RECALLED: "has a medicine of a lot that was recalled",
    EventKind.CANCEL_REQUESTED: "is being cancelled",
    EventKind.PAYMENT: "has news of its payment",
}


def is_told(channel: Channel, order: Order, event: OrderEvent) -> bool:
    """Tells whether the event is for the channel at all."""
    return channel is not Channel.SMTP or (event.kind in _FOR_CUSTOMERS and bool(order.contact.email))


def notification_of(order: Order, event: OrderEvent) -> Notification:
    """Puts the event into words; `order` is as it is now, which may be later than the event."""
    subject = f"Your order {order.number} {_happened(order, event)}"
    return Notification(
        id=f"{order.name}/events/{event.number}",
        kind=event.kind,
        order=order.name,
        order_number=order.number,
        from_state=event.from_state,
        to_state=event.to_state,
        created_at=event.created_at,
        subject=subject,
        body="\n".join([f"{subject}.", *_more(order, event)]),
        email=order.contact.email,
        confidential=_recalled_lot(order, event) if event.kind is EventKind.LOT_RECALLED else _pickup_code(order, event),
    )


def _happened(order: Order, event: OrderEvent) -> str:
    if event.kind is EventKind.POINTS_GRANTED:
        return "has earned points" if order.points_state is PointsState.GRANTED else "earns no points"
    return _OF_KINDS.get(event.kind) or _OF_STATES[event.to_state]


def _more(order: Order, event: OrderEvent) -> list[str]:
    lines = []
    if event.kind is EventKind.POINTS_GRANTED and order.points_minor:
        lines.append(f"Points: {order.points_minor // 100}.{order.points_minor % 100:02}")
    if event.to_state is State.SHIPPED and event.kind is EventKind.STATE_CHANGED:
        lines.append(f"Tracking number: {order.tracking_number}")
    if event.reason:
        lines.append(f"Reason: {event.reason}")
    return lines


def _recalled_lot(order: Order, event: OrderEvent) -> str:
    """What to look for on the box. Which medicine somebody takes is nobody else's business."""
    sku = event.details["sku"]
    medicine = next((f"{line.display_name} {line.strength}".rstrip() for line in order.lines if line.sku == sku), sku)
    return f"The medicine: {medicine}\nThe lot number on its box: {event.details['lot']}"


def _pickup_code(order: Order, event: OrderEvent) -> str:
    """Only while it is of use, whenever the message is sent."""
    waits = event.kind in (EventKind.STATE_CHANGED, EventKind.OVERDUE) and event.to_state is State.READY
    if waits and order.state is State.READY and order.fulfilment is Fulfilment.PICKUP and order.pickup_code:
        return f"Your pickup code: {order.pickup_code}"
    return ""
