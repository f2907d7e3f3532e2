"""What making and changing orders needs of the outside."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol
from uuid import UUID

from services.orders.application.inventory.stock import Cause, Stock
from services.orders.domain.catalogue.medicine import Medicine
from services.orders.domain.inventory.shortage import ShortLine
from services.orders.domain.ordering.changes import Outcome
from services.orders.domain.ordering.creation import PeriodLimit
from services.orders.domain.ordering.model import Contact, DeliveryAddress, Order, OrderEvent, State
from services.orders.domain.prescriptions.prescription import Prescription
from shared.requests import RequestKey


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom an order is for. `address` is None for one that is collected."""

    contact: Contact
    address: DeliveryAddress | None


class CustomerProfiles(Protocol):
    """The customers service. Asked before a transaction, never in one."""

    async def recipient(self, customer_id: str, address_id: str | None) -> Recipient:
        """Returns the profile and the address, if one is named. Raises CustomerNotFound, AddressNotFound, Unavailable."""

    async def address(self, customer_id: str, address_id: str) -> DeliveryAddress:
        """Raises AddressNotFound, Unavailable."""


class Verdict(Enum):
    """What became of the payment of an order that is to end unpaid."""

    CANCELLED = "cancelled"
    PAID = "paid"
    UNKNOWN = "unknown"


class PaymentArbiter(Protocol):
    """Has the last word on whether an order is paid: a payment that it says to be cancelled never succeeds any more.

    Asked outside of any transaction, and again if it answers UNKNOWN or its answer gets lost. Whatever lets an order be paid anew changes
    the order's version.
    """

    async def cancel(self, order: Order) -> Verdict:
        """Ends what would pay the order; what is only authorised ends too. PAID: the money is taken."""


class NumberTaken(Exception):
    """An order has this number."""


class OrderTransaction(Protocol):
    """A transaction on orders and what changes with them. Without `commit` nothing of it happens.

    Locks are taken in this order: the order or the customer's limits, prescriptions, stock.
    """

    @property
    def stock(self) -> Stock:
        """Stock in this transaction."""

    async def answered(self, key: RequestKey) -> Order | None:
        """Returns what the request was answered before; None if it is new and ours to do here. Raises RequestIdReused."""

    async def now(self) -> datetime:
        """Returns the time of the database, for decisions that race."""

    async def lock(self, order_id: UUID) -> Order | None:
        """Returns the order, which nobody else changes until the transaction ends."""

    async def lock_next(self, location_id: str, states: Collection[State], *, not_of: str) -> Order | None:
        """Locks the order that is due first among those in the states that nobody has claimed and nobody locks now.

        Of orders UNDER_REVIEW, those of the customer `not_of` are left out.
        """

    async def begin_order(self, key: RequestKey | None, skus: Collection[str]) -> Order | Mapping[str, Medicine]:
        """Returns what the request was answered before; if it is new and ours to do here, the medicines that the catalogue has of the SKUs.

        Raises RequestIdReused.
        """

    async def lock_ordered(self, customer_id: str, limits: Sequence[PeriodLimit], now: datetime) -> Mapping[str, int]:
        """Returns the units that the customer ordered in each period; they order no more until the transaction ends."""

    async def lock_prescriptions(self, customer_id: str, ids: Collection[UUID]) -> Mapping[UUID, Prescription]:
        """Returns those of these prescriptions that the customer has; nobody else changes them until the transaction ends."""

    async def count_prescriptions(self, ids: Collection[UUID], order_id: UUID) -> None:
        """Counts the order once on each of these prescriptions, which are locked."""

    async def give_back_prescriptions(self, order_id: UUID) -> None:
        """Takes the order off the prescriptions that it was counted on. Again: nothing happens."""

    async def insert(self, order: Order, event: OrderEvent, words: Iterable[str]) -> None:
        """Stores a new order, the words by which it is found, and its first event. Raises LocationNotFound, NumberTaken."""

    async def hold(self, order: Order, cause: Cause, key: RequestKey | None) -> None:
        """Holds the units of a new order until it is due, all or none, and stores it as the answer of the request. Raises StockShort.

        To be done last: from here to the commit whoever wants the same medicines waits.
        """

    async def store(self, before: Order, outcome: Outcome) -> None:
        """Stores an order that is locked, as it is after a change, and its event."""

    async def remember(self, key: RequestKey, answer: Order) -> None:
        """Stores the answer of the request that `answered` began."""

    async def commit(self) -> None:
        """Makes all of it happen."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen before an order is made: its request's answer, the lines that are short unless there is one, the medicines by SKU."""

    answer: Order | None
    short: Sequence[ShortLine]
    medicines: Mapping[str, Medicine]


class OrderTransactions(Protocol):
    """Opens transactions."""

    async def answer_of(self, key: RequestKey) -> Order | None:
        """Returns what a request was answered before; None promises nothing. Raises RequestIdReused."""

    def begin(self) -> AbstractAsyncContextManager[OrderTransaction]: ...


class OrderLooks(Protocol):
    """What is looked at before an order is made. It promises nothing: by then it may be otherwise."""

    async def look(self, key: RequestKey, location_id: str, units: Mapping[str, int]) -> Looked:
        """Looks what the request was answered before, which of these units can't be had, and for the medicines. Raises RequestIdReused."""


class PlainOrders(Protocol):
    """Orders that need nothing but units on the shelf, made at once."""

    async def add(
        self, order: Order, event: OrderEvent, words: Iterable[str], versions: Mapping[str, int], cause: Cause, key: RequestKey
    ) -> bool:
        """Stores a new order with its event and the words it is found by, holds its units, remembers it as the request's answer.

        `versions` are those of its medicines, by SKU. False, and nothing has happened, if anything is in the way: units are short, the
        request is not new, the number is taken, there is no such location, a medicine has changed. A transaction finds out what it is.
        """


class Locations(Protocol):
    """The places that orders are made at."""

    async def has_location(self, location_id: str) -> bool:
        """Tells whether there is such a location."""


class Orders(Protocol):
    """Orders, read."""

    async def get(self, order_id: UUID, customer_id: str) -> Order | None:
        """Returns the customer's order with its lots."""

    async def get_with_events(self, order_id: UUID, customer_id: str, limit: int) -> tuple[Order | None, Sequence[OrderEvent]]:
        """Returns the order and its latest events, latest first."""

    async def cancel_request(self, order_id: UUID) -> OrderEvent | None:
        """Returns the latest event that asked for the order's cancellation."""


class Identifiers(Protocol):
    """Where the names of new orders come from."""

    def order_id(self) -> UUID:
        """Returns an id that nobody has, later ones being greater."""

    def order_number(self) -> str:
        """Returns 15 random digits and their Luhn digit."""

    def pickup_code(self) -> str:
        """Returns six random digits."""
