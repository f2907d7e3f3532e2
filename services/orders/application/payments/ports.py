"""What payments need of the outside: the card provider and the points ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence, Set
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Protocol, TypeAlias
from uuid import UUID

from services.orders.application.payments.observer import UnderWay
from services.orders.domain.ordering.changes import Outcome
from services.orders.domain.ordering.model import Order
from services.orders.domain.payments.facts import Fact
from services.orders.domain.payments.model import Payment, Refund
from services.orders.domain.payments.saga import OrderStanding
from shared.requests import RequestKey


class OutcomeUnknown(Exception):
    """No answer, or none that tells: a timeout, a lost connection, a 5xx, "try later". It may have happened; never a failure.

    `retry_after_s` is what the other side asked for, if it did.
    """

    def __init__(self, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class KeySpent(OutcomeUnknown):
    """The provider remembers a failure of its own under the key and will say so for ever: whether anything happened must be looked up."""


class ProviderRejected(Exception):
    """The provider refuses the request itself, and would again. `code` is its word for why, e.g. `payment_intent_unexpected_state`."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code


class PointsRefused(Exception):
    """The ledger refuses for good. `reason` is that of its error, e.g. `INSUFFICIENT_POINTS`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MessageInvalid(Exception):
    """A message is not the provider's: no signature of ours, too old, or not a message."""


@dataclass(frozen=True, slots=True)
class Intent:
    """The provider's side of a payment, and what it says of it. `payment_id` is what its metadata name, empty if nothing.

    `redirect_url` is where the payer has to go, empty if nowhere.
    """

    reference: str
    payment_id: str
    facts: tuple[Fact, ...]
    client_secret: str = field(default="", repr=False)
    redirect_url: str = field(default="", repr=False)


class RefundStanding(Enum):
    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class ProviderRefund:
    """The provider's side of a refund's card share. `refund_id` is what its metadata name, empty if nothing."""

    reference: str
    standing: RefundStanding
    failure: str = ""
    refund_id: str = ""


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """A message of the provider, proven and read.

    `intent` is the payment it is about, empty if it is about none; `refund` is set if it is about a refund's card share.
    """

    id: str
    kind: str
    intent: str
    payment_id: str
    created_at: datetime
    facts: tuple[Fact, ...]
    refund: ProviderRefund | None = None

    @property
    def says_nothing(self) -> bool:
        """Whether it does not concern us."""
        return not self.facts and self.refund is None


class CardProvider(Protocol):
    """The outside provider. Every write goes under a key of the payment or refund, and may be repeated.

    All raise OutcomeUnknown, ProviderRejected. A decline is no error: it is a fact.
    """

    async def create_intent(self, payment: Payment) -> Intent:
        """Asks for the card share; with `payment.card` the card is charged (or, with `manual_capture`, authorised) at once."""

    async def capture(self, payment: Payment) -> Intent:
        """Takes authorised money."""

    async def cancel(self, payment: Payment) -> Intent:
        """Ends the intent. If the money is taken already, the facts say so: the provider's answer is the arbiter."""

    async def get_intent(self, payment: Payment) -> Intent:
        """Reads the intent."""

    async def find_intent(self, payment: Payment) -> Intent | None:
        """Looks for an intent of the payment whose name never reached us."""

    async def refund(self, refund: Refund, payment: Payment) -> ProviderRefund:
        """Gives the card share of a refund back."""

    async def find_refund(self, refund: Refund, payment: Payment) -> ProviderRefund | None:
        """Looks for a refund whose name never reached us."""

    async def get_refund(self, refund: Refund) -> ProviderRefund:
        """Reads a refund, by `provider_reference`."""

    async def refunded_minor(self, payment: Payment) -> int:
        """Returns what was given back of a payment, all its refunds together."""

    def list_events(self, since: datetime) -> AsyncIterator[Sequence[tuple[bytes, ProviderEvent]]]:
        """Yields the messages since a time with their bytes, newest first, a page at a time: there may be many.

        Those that never came as webhooks are among them.
        """


class Webhooks(Protocol):
    """Checks and reads messages that the provider sent."""

    def read(self, body: bytes, signature: str) -> ProviderEvent:
        """Returns the message. Raises MessageInvalid."""

    def read_stored(self, body: bytes) -> ProviderEvent:
        """The same for a body whose signature was checked when it came."""

    def without_secrets(self, body: bytes) -> bytes:
        """Returns a message that was read, without what a payer could confirm a payment with: `read_stored` says the same of it."""


class PointsLedger(Protocol):
    """The balance service. Request ids are made from the payment or refund; all raise OutcomeUnknown, PointsRefused."""

    async def hold(self, payment: Payment) -> str:
        """Holds the points without a limit of time; returns the hold's name."""

    async def capture(self, payment: Payment) -> str:
        """Takes the held points; returns the operation's name."""

    async def release(self, payment: Payment) -> None:
        """Frees the held points. Freed before is freed."""

    async def standing(self, payment: Payment) -> tuple[int, int]:
        """Returns the points that the payment still holds, and those that were taken."""

    async def give_back(self, refund: Refund, payment: Payment) -> None:
        """Reverses the refund's points share of the capture."""

    async def take_back(self, refund: Refund, credit_operation: str, points_minor: int) -> None:
        """Takes back points that the order had earned; what the customer lacks becomes debt."""


class EarnedPoints(Protocol):
    """What an order earned, by the accrual service."""

    async def credit(self, customer_id: str, order_number: str) -> tuple[str, int] | None:
        """Returns the operation that credited the points and how many; None if the order earned none.

        Raises OutcomeUnknown until that is final.
        """


@dataclass(frozen=True, slots=True)
class Draft:
    """A change of a payment in the making: what it becomes, and the facts that are new.

    `while_order_version`: there is no change if the order is another by then, because it moved on, perhaps by this payment.
    """

    change: Callable[[Payment], Payment] = lambda payment: payment
    facts: tuple[Fact, ...] = ()
    while_order_version: int | None = None

    def changed(self, payment: Payment, order: OrderStanding) -> Payment:
        """Returns what becomes of the payment of an order that stands like this."""
        return self.change(payment) if self.while_order_version in (None, order.version) else payment


@dataclass(frozen=True, slots=True)
class Known:
    """A payment, how its order stands, and all that the provider said of it, as they were read, recorded or stored last."""

    payment: Payment
    order: OrderStanding
    facts: tuple[Fact, ...] = ()


class PaymentRecords(Protocol):
    """Payments as they are stored. Nothing here is open while the provider or the ledger is asked."""

    async def read(self, payment_id: UUID) -> Known:
        """Raises PaymentNotFound."""

    async def record(self, payment_id: UUID, draft: Draft, last: Known | None = None) -> Known:
        """Adds the facts, folds all that are known, applies the change, in one transaction; returns what `read` would then.

        `last` is how the caller saw the payment last: if it still is so, it needs not be read again. Raises PaymentNotFound.
        """

    async def find_by_intent(self, intent: str, payment_id: str) -> UUID | None:
        """Returns the payment that the provider means: by its own name of it, or by ours in the metadata."""

    async def live_of(self, order_id: UUID) -> Payment | None:
        """Returns the payment that is under way or has paid the order."""

    async def due_for_a_look(self, limit: int) -> Sequence[UUID]:
        """Returns payments whose provider should be asked again by now, and puts that off."""

    async def under_way(self) -> UnderWay:
        """Returns what is not through yet."""


class OrderSteps(Protocol):
    """What a payment does to its order. Each may be repeated."""

    async def authorize(self, payment: Payment) -> None:
        """The money is set aside: the order waits for a pharmacist. Nothing happens if the payment was given up meanwhile."""

    async def settle(self, payment: Payment) -> bool:
        """The money is taken, or the points are held: the stock is committed, the order PAID and the payment settled, all at once.

        False if the payment was given up or the order has ended meanwhile, or the stock was lost: then the order is cancelled,
        OUT_OF_STOCK, and all is given back.
        """

    async def lose_payment(self, payment: Payment) -> None:
        """The money is no longer set aside: the order, if it is under review, is cancelled, PAYMENT_LOST."""


class Refunds(Protocol):
    """Refunds that follow from what happens, not from a call."""

    async def refund_all(self, payment_id: UUID, order_id: UUID, reason: str) -> bool:
        """Makes a refund of all that was taken, with the job that drives it, and ends the payment; False if there is one already."""


@dataclass(frozen=True, slots=True)
class Payable:
    """An order that is locked, its payment that is under way or has paid it, how many it has had, and the time after that."""

    order: Order
    live: Payment | None
    payments: int
    now: datetime


class PaymentStart(Protocol):
    """A transaction that starts a payment. Without `store` nothing of it happens. Locks: order, payment."""

    async def lock(self, order_id: UUID, customer_id: str, key: RequestKey) -> UUID | Payable:
        """Returns the payment that the request started before; if it is new and ours to do here, the order that is to be paid.

        Raises OrderNotFound, RequestIdReused.
        """

    async def store(self, payment: Payment, before: Order, noted: Outcome, key: RequestKey) -> None:
        """Stores the new payment, the order that was locked, the event of it and the answer of the request, and makes all of it happen."""


class PaymentStarts(Protocol):
    """Opens transactions that start payments."""

    def begin(self) -> AbstractAsyncContextManager[PaymentStart]: ...

    async def leave(self, payment_id: UUID) -> None:
        """Adds the job that drives a payment, for whoever started it can't wait for it."""


class PaymentTransaction(Protocol):
    """A transaction on an order, its payments and refunds. Without `commit` nothing of it happens. Locks: order, payment, refunds."""

    async def answered(self, key: RequestKey) -> UUID | None:
        """Returns the payment or refund that the request made before; None if it is new and ours to do here. Raises RequestIdReused."""

    async def now(self) -> datetime:
        """Returns the time of the database."""

    async def lock_order(self, order_id: UUID, customer_id: str | None) -> Order:
        """Returns the order, which nobody else changes until the transaction ends. Raises OrderNotFound."""

    async def live_payment(self, order_id: UUID) -> Payment | None:
        """Locks and returns the payment that is under way or has paid the order."""

    async def lock_payment(self, payment_id: UUID) -> Payment | None:
        """Locks and returns the payment."""

    async def refunds_of(self, payment_id: UUID) -> Sequence[Refund]:
        """Returns the refunds of a payment that is locked."""

    async def add_refund(self, refund: Refund) -> None:
        """Stores a new refund, and the job that drives it."""

    async def facts_of(self, payment_id: UUID) -> Sequence[Fact]:
        """Returns what the provider has said of a payment that is locked."""

    async def store_refund(self, refund: Refund) -> None:
        """Stores a refund of a payment that is locked, as it is after a change."""

    async def end_payment(self, payment: Payment) -> None:
        """Stores a payment that came too late as ended."""

    async def resume_payment(self, payment: Payment) -> None:
        """Stores a payment that can go on, and the job that drives it if nobody does before."""

    async def store_order(self, before: Order, outcome: Outcome) -> None:
        """Stores an order that is locked, as it is after a change, and its event."""

    async def commit(self, key: RequestKey | None, answer: UUID) -> None:
        """Remembers the answer of the request, if there is one, and makes all of it happen."""


class PaymentTransactions(Protocol):
    """Opens transactions."""

    def begin(self) -> AbstractAsyncContextManager[PaymentTransaction]: ...


RefundChange: TypeAlias = Callable[[Refund, Payment], tuple[Refund, Payment]]


class RefundRecords(Protocol):
    """Refunds as they are stored."""

    async def read(self, refund_id: UUID) -> tuple[Refund, Payment, Order]:
        """Returns the refund with its payment and order. Raises RefundNotFound."""

    async def decide_take_back(self, refund_id: UUID, earned_minor: int) -> Refund:
        """Notes how many of the points that the order earned this refund takes back, once. Raises RefundNotFound."""

    async def record(self, refund_id: UUID, change: RefundChange, facts: tuple[Fact, ...] = ()) -> Refund:
        """Changes a refund together with its payment, in one transaction. Raises RefundNotFound."""

    async def find_by_reference(self, reference: str, refund_id: str = "") -> UUID | None:
        """Returns the refund that the provider means: by its own name of it, or by ours in the metadata if its name never reached us."""


class Messages(Protocol):
    """The inbox of the provider's messages."""

    async def keep(self, event: ProviderEvent, body: bytes) -> bool:
        """Stores a message, its body without secrets, and the job that works on it, if it says anything that its payment does not know.

        False if it was stored before.
        """

    async def missing(self, event_ids: Collection[str]) -> Set[str]:
        """Returns those of which no message is stored."""

    async def body_of(self, event_id: str) -> bytes | None:
        """Returns a message that is not done yet."""

    async def close(self, event_id: str, state: str) -> None:
        """Notes what became of a message: DONE, WAITING or QUARANTINED."""

    async def forget(self, before: datetime) -> None:
        """Removes messages that were made before a time and are done, some at a time."""

    async def newest(self) -> datetime | None:
        """Returns when the newest message that we know of was made."""
