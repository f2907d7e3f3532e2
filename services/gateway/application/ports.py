"""What the edge needs of the services behind it. Amounts are hundredths of a point, times are aware.

Every method may raise GalenError: the service's own refusal, or the platform's reasons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Generic, Protocol, TypeVar
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Caller:
    """A customer whose token was checked; the services check it again."""

    customer_id: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Session:
    """A fresh login."""

    token: str = field(repr=False)
    expires_at: datetime


class OrderStatus(Enum):
    """How far the points of an order have come, in the words of the public contract."""

    NEW = "NEW"
    PROCESSING = "PROCESSING"
    INVALID = "INVALID"
    PROCESSED = "PROCESSED"


@dataclass(frozen=True, slots=True)
class Order:
    """An uploaded order number. `accrual` is None until points came, and if none did."""

    number: str
    status: OrderStatus
    accrual: int | None
    uploaded_at: datetime


@dataclass(frozen=True, slots=True)
class Balance:
    """What can be spent now, and what was spent over the account's life."""

    available: int
    spent: int


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Points that were spent on an order."""

    order_number: str
    amount: int
    made_at: datetime


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list, newest first. `next_token` is empty on the last one."""

    items: Sequence[T]
    next_token: str


class Customers(Protocol):
    """Who someone is."""

    async def register(self, login: str, password: str, request_id: UUID, client_address: str) -> Session:
        """Makes a customer and logs them in. Raises LOGIN_TAKEN."""

    async def login(self, login: str, password: str, client_address: str) -> Session:
        """Raises WRONG_CREDENTIALS, TOO_MANY_FAILED_LOGINS."""


class Orders(Protocol):
    """Order numbers that wait for their points, or have them."""

    async def submit(self, caller: Caller, number: str, request_id: UUID) -> bool:
        """Claims a number; returns False if the caller had claimed it before. Raises CLAIMED_BY_ANOTHER, TOO_MANY_PENDING_CLAIMS."""

    async def page(self, caller: Caller, token: str) -> Page[Order]:
        """Returns the page that `token` names, the first one if it is empty."""


class Points(Protocol):
    """A customer's points."""

    async def balance(self, caller: Caller) -> Balance | None:
        """Returns None if the account was not opened yet."""

    async def withdraw(self, caller: Caller, order_number: str, amount: int, request_id: UUID) -> None:
        """Raises ACCOUNT_NOT_FOUND, INSUFFICIENT_POINTS, ORDER_ALREADY_PAID."""

    async def withdrawals(self, caller: Caller, token: str) -> Page[Withdrawal]:
        """Returns the page that `token` names, the first one if it is empty."""


class Payments(Protocol):
    """Payments of orders, as the provider tells of them."""

    async def deliver_webhook(self, body: bytes, signature: str) -> None:
        """Hands over a message as it came. Raises GalenError: WEBHOOK_SIGNATURE_INVALID if it is not the provider's."""
