"""Payments and refunds. Amounts are in the smallest unit of the order's currency; a hundredth of a point pays one of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from uuid import UUID, uuid5


class Method(IntEnum):
    """The numbers are those of galen.orders.v1.PaymentMethod."""

    CARD = 1
    POINTS = 2
    MIXED = 3


class PaymentState(IntEnum):
    """What callers see; the numbers are those of galen.orders.v1.PaymentState."""

    STARTED = 1
    CONFIRMATION_REQUIRED = 2
    ACTION_REQUIRED = 3
    PENDING = 4
    AUTHORIZED = 5
    CAPTURED = 6
    FAILED = 7
    CANCELLED = 8


ENDED = frozenset({PaymentState.FAILED, PaymentState.CANCELLED})
FINAL = ENDED | {PaymentState.CAPTURED}


class Wish(IntEnum):
    """What we want of a payment. GIVE_UP ends as CANCELLED, FAIL as FAILED, unless the provider has the money by then.

    REFUSE is wanted by people, of one that was in quarantine: it ends as FAILED, and whatever money comes of it goes back.
    """

    PAY = 1
    GIVE_UP = 2
    FAIL = 3
    REFUSE = 4


class Points(IntEnum):
    """How the points of a payment stand in the ledger."""

    NONE = 0
    ASKED = 1
    HELD = 2
    CAPTURED = 3
    RELEASED = 4
    REFUSED = 5


class Card(IntEnum):
    """How the card share stands at the provider, by all we know. Only facts move it on; see facts.py."""

    NOT_ASKED = 0
    ASKED = 1
    OPEN = 2
    ACTION_REQUIRED = 3
    PROCESSING = 4
    DECLINED = 5
    AUTHORIZED = 6
    CANCELLED = 7
    CAPTURED = 8


@dataclass(frozen=True, slots=True)
class Payment:
    """An attempt to pay an order.

    `card` is the provider's name of the card, empty if the payer confirms at the provider. `intent` is the provider's name of the payment;
    `hold` and `points_operation` are the ledger's names of the hold and of its capture. `accepted_minor` is what was taken from the card in
    place of what was asked for and people have accepted; 0 if they had not to. `version` counts changes.
    """

    id: UUID
    order_id: UUID
    customer_id: str
    order_number: str
    method: Method
    currency: str
    card_minor: int
    points_minor: int
    manual_capture: bool
    created_at: datetime
    updated_at: datetime
    state: PaymentState = PaymentState.STARTED
    wish: Wish = Wish.PAY
    card: str = field(default="", repr=False)
    card_standing: Card = Card.NOT_ASKED
    points_standing: Points = Points.NONE
    intent: str = ""
    client_secret: str = field(default="", repr=False)
    redirect_url: str = field(default="", repr=False)
    hold: str = ""
    points_operation: str = ""
    captured_minor: int = 0
    refunded_minor: int = 0
    accepted_minor: int = 0
    points_captured_minor: int = 0
    points_returned_minor: int = 0
    failure: str = ""
    quarantined: bool = False
    settled: bool = False
    attempt: int = 1
    authorized_at: datetime | None = None
    captured_at: datetime | None = None
    version: int = 1

    @property
    def total_minor(self) -> int:
        return self.card_minor + self.points_minor

    @property
    def card_expected_minor(self) -> int:
        """What is taken from the card if all is as it should be."""
        return self.accepted_minor or self.card_minor

    @property
    def name(self) -> str:
        return f"customers/{self.customer_id}/orders/{self.order_id}/payments/{self.id}"

    @property
    def account(self) -> str:
        """The customer's account in the ledger."""
        return f"programs/main/accounts/{self.customer_id}"

    @property
    def is_live(self) -> bool:
        return self.state not in ENDED

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def is_at_provider(self) -> bool:
        """Whether the provider, who has an intent of it, may tell something new."""
        return bool(self.intent) and self.card_standing not in (Card.CANCELLED, Card.CAPTURED)

    @property
    def has_late_money(self) -> bool:
        """Whether money was taken though it has failed, was given up or is refused, and has not gone back yet."""
        is_unwanted = not self.is_live or self.wish is Wish.REFUSE
        return is_unwanted and self.card_standing is Card.CAPTURED and self.refunded_minor < self.captured_minor

    @property
    def holds_points(self) -> bool:
        """Whether points are held, as far as is known."""
        return self.points_standing in (Points.ASKED, Points.HELD)

    @property
    def may_pay(self) -> bool:
        """Whether its order may go on because of it: nobody has given it up, or the money was taken before that."""
        is_wanted = self.wish is Wish.PAY or (self.card_standing is Card.CAPTURED and self.wish is not Wish.REFUSE)
        return self.settled or (is_wanted and not self.is_final and not self.quarantined)

    def key(self, step: str) -> str:
        """Returns the idempotency key of a step at the provider: of the payment, never of the order.

        The attempt is in it because a provider may remember a failure of its own under a key for good; only once it is known that nothing
        came of that one, there is another attempt.
        """
        return f"pay_{self.id}:{step}:{self.attempt}"

    def request_id(self, step: str) -> UUID:
        """Returns the request_id of a step at the ledger."""
        return uuid5(self.id, step)


class RefundState(IntEnum):
    """The numbers are those of galen.orders.v1.RefundState."""

    PENDING = 1
    SUCCEEDED = 2
    FAILED = 3


@dataclass(frozen=True, slots=True)
class RefundedLine:
    """Units of a line and what they cost."""

    sku: str
    quantity: int
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Refund:
    """Money and points given back of one payment. The `..._done` fields say which parts were through, also if the card's failed after that.

    `take_back_share` is how much of what the order cost goes back, and what it cost in all; what is given back beyond that is surplus.
    """

    id: UUID
    payment_id: UUID
    order_id: UUID
    customer_id: str
    currency: str
    card_minor: int
    points_minor: int
    take_back_share: tuple[int, int]
    reason: str
    created_at: datetime
    lines: tuple[RefundedLine, ...] = ()
    state: RefundState = RefundState.PENDING
    provider_reference: str = ""
    card_done: bool = False
    points_done: bool = False
    take_back_done: bool = False
    points_taken_back_minor: int = 0
    failure: str = ""
    attempt: int = 1
    finished_at: datetime | None = None
    version: int = 1

    @property
    def amount_minor(self) -> int:
        return self.card_minor + self.points_minor

    @property
    def surplus_minor(self) -> int:
        """What it gives back that the order never cost: of the card's share."""
        return self.amount_minor - self.take_back_share[0]

    @property
    def gives_points(self) -> bool:
        """Whether its points go back, or are back: if its card share was refused at once, they do not, and if it failed later, they do."""
        return self.state is not RefundState.FAILED or self.card_done or self.points_done

    @property
    def name(self) -> str:
        return f"customers/{self.customer_id}/orders/{self.order_id}/refunds/{self.id}"

    @property
    def key(self) -> str:
        return f"refund_{self.id}:{self.attempt}"

    def request_id(self, step: str) -> UUID:
        return uuid5(self.id, step)
