"""Orders: what is known of them. Times are in UTC, amounts in the smallest unit of the order's currency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import IntEnum
from uuid import UUID


class State(IntEnum):
    """The numbers are those of galen.orders.v1.OrderState."""

    PENDING_PAYMENT = 1
    PAID = 2
    PREPARING = 3
    SHIPPED = 4
    COMPLETED = 5
    CANCELLED = 6
    UNDER_REVIEW = 7
    READY = 8
    EXPIRED = 9
    RETURNED = 10


class Fulfilment(IntEnum):
    DELIVERY = 1
    PICKUP = 2


class Pending(IntEnum):
    """What an order waits for at the payment provider. A crash between the provider and our commit is resumed from it."""

    NONE = 0
    CANCELLING = 1
    CAPTURING = 2
    REFUNDING = 3


class PaymentState(IntEnum):
    UNPAID = 1
    AUTHORIZED = 2
    PAID = 3


class PointsState(IntEnum):
    NOT_YET = 0
    PENDING = 1
    GRANTED = 2
    NONE = 3


class Action(IntEnum):
    """The numbers are those of galen.orders.v1.OrderAction."""

    CANCEL = 1
    UPDATE = 2
    APPROVE = 3
    REJECT = 4
    START_PREPARING = 5
    FINISH_PREPARING = 6
    SHIP = 7
    DELIVER = 8
    HAND_OVER = 9
    ACCEPT_RETURN = 10
    PAY = 11


class EventKind(IntEnum):
    """The numbers are those of galen.orders.v1.OrderEventKind."""

    CREATED = 1
    STATE_CHANGED = 2
    UPDATED = 3
    CLAIMED = 4
    CLAIM_RELEASED = 5
    REVIEWED = 6
    OVERDUE = 7
    POINTS_GRANTED = 8
    LOT_RECALLED = 9
    CANCEL_REQUESTED = 10
    PAYMENT = 11


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something: `customers/{id}`, `services/{name}` or `system`, in one role."""

    name: str
    role: str


SYSTEM = Actor("system", "system")


@dataclass(frozen=True, slots=True)
class LineLot:
    """Units of a line from one lot."""

    lot_id: UUID
    lot_number: str
    expires_on: date
    quantity: int


@dataclass(frozen=True, slots=True)
class Line:
    """A medicine as it was when it was ordered. `schedule` is 0 for what is not controlled."""

    sku: str
    display_name: str
    form: str
    strength: str
    quantity: int
    unit_price_minor: int
    rx_required: bool
    schedule: int
    cold_chain: bool
    prescription_id: UUID | None = None
    returned_quantity: int = 0
    lots: tuple[LineLot, ...] = ()

    @property
    def total_minor(self) -> int:
        return self.unit_price_minor * self.quantity

    @property
    def is_controlled(self) -> bool:
        return self.schedule > 0


@dataclass(frozen=True, slots=True)
class Contact:
    """The customer as they were."""

    display_name: str
    phone: str
    email: str


@dataclass(frozen=True, slots=True)
class DeliveryAddress:
    """A copy of `customers/{customer}/addresses/{address}`."""

    address: str
    recipient: str
    phone: str
    lines: tuple[str, ...]
    city: str
    postal_code: str
    country_code: str


@dataclass(frozen=True, slots=True)
class Times:
    """When what happened; None for what has not. `due` is when the present state should be left."""

    due: datetime | None = None
    assigned: datetime | None = None
    authorized: datetime | None = None
    reviewed: datetime | None = None
    paid: datetime | None = None
    prepared: datetime | None = None
    ready: datetime | None = None
    sent: datetime | None = None
    finished: datetime | None = None
    cancelled: datetime | None = None
    expired: datetime | None = None
    returned: datetime | None = None


@dataclass(frozen=True, slots=True)
class PaymentNote:
    """The payment that is under way or has paid an order: what was taken by it, card and points together, and what was given back."""

    id: UUID
    taken_minor: int
    returned_minor: int


@dataclass(frozen=True, slots=True)
class Order:
    """An order. `events` is how many it has had, the number of the last one; `version` counts all changes.

    `payment` is known where orders are read, and None where they are changed.
    """

    id: UUID
    customer_id: str
    number: str
    state: State
    location_id: str
    currency: str
    lines: tuple[Line, ...]
    fulfilment: Fulfilment
    contact: Contact
    delivery_address: DeliveryAddress | None
    note: str
    created_at: datetime
    updated_at: datetime
    times: Times = field(default_factory=Times)
    payment_state: PaymentState = PaymentState.UNPAID
    points_state: PointsState = PointsState.NOT_YET
    points_minor: int = 0
    pending: Pending = Pending.NONE
    pending_since: datetime | None = None
    assignee: str = ""
    preparer: str = ""
    reviewer: str = ""
    tracking_number: str = ""
    pickup_code: str = ""
    cancel_reason: str = ""
    overdue: bool = False
    payment: PaymentNote | None = None
    events: int = 0
    version: int = 1

    @property
    def name(self) -> str:
        return f"customers/{self.customer_id}/orders/{self.id}"

    @property
    def owner(self) -> str:
        return f"customers/{self.customer_id}"

    @property
    def subtotal_minor(self) -> int:
        return sum(line.total_minor for line in self.lines)

    @property
    def has_rx(self) -> bool:
        return any(line.rx_required for line in self.lines)

    @property
    def has_controlled(self) -> bool:
        return any(line.is_controlled for line in self.lines)


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """Something that happened to an order; never changed. `from_state` is None for a new order."""

    order_id: UUID
    number: int
    kind: EventKind
    from_state: State | None
    to_state: State
    actor: Actor
    reason: str
    details: Mapping[str, str]
    created_at: datetime
