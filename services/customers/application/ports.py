"""What the use cases need of the outside."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from services.customers.domain.address import Address
from services.customers.domain.customer import Customer
from services.customers.domain.login import Attempt
from services.customers.domain.recipient import Recipient
from shared.requests import RequestKey

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Token:
    """A token and when it stops being valid."""

    value: str = field(repr=False)
    expires_at: datetime


class Tokens(Protocol):
    """Where tokens come from."""

    def issue(self, customer_id: UUID, roles: Collection[str]) -> Token:
        """Returns a token that names the customer and the roles."""


@dataclass(frozen=True, slots=True)
class Registration:
    """How someone registered, and what they prove themselves with."""

    customer_id: UUID
    login: str
    request_id: UUID
    roles: frozenset[str]
    password_hash: str = field(repr=False)


class Registrations(Protocol):
    """Logins and password hashes."""

    async def find(self, login: str) -> Registration | None:
        """Returns who has this login."""

    async def find_request(self, request_id: UUID) -> Registration | None:
        """Returns who registered by this request."""

    async def add(self, customer: Customer, password_hash: str, request_id: UUID) -> bool:
        """Stores a new customer together with the job that opens their account; False if the login or the request_id is taken."""

    async def replace_hash(self, customer_id: UUID, *, old: str, new: str) -> None:
        """Stores another hash of the same password, unless the password has been changed meanwhile."""


class Hasher(Protocol):
    """Password hashes. Each method takes about as long as the parameters make it."""

    async def hash(self, password: str) -> str:
        """Returns a new hash of the password."""

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Tells whether the hash is of this password. Without a hash it works as long, and says no."""

    def is_outdated(self, password_hash: str) -> bool:
        """Tells whether the hash was made with other parameters than today's."""


class HashingTurns(Protocol):
    """Hashing takes much memory, so only few may do it at once; the others wait."""

    async def in_turn(self, work: Callable[[Hasher], Awaitable[T]]) -> T:
        """Waits for a turn and runs `work` in it, to its end even if the caller goes away. Raises Overloaded if too many wait."""


class FailedLogins(Protocol):
    """Failed logins, counted for each address, and for each account tried from it."""

    async def wait_s(self, attempt: Attempt) -> float:
        """Returns the seconds for which the attempt is not allowed; 0 if it is."""

    async def count(self, attempt: Attempt) -> None:
        """Counts the attempt as failed."""

    async def forget_old(self) -> None:
        """Removes counts of windows that are over."""


class Customers(Protocol):
    """Customers, read one by one; and those whose account is still missing."""

    async def find(self, customer_id: UUID) -> Customer | None:
        """Returns the customer."""

    async def find_recipients(self, ids: Sequence[tuple[UUID | None, UUID | None]]) -> Sequence[Recipient | None]:
        """Returns, for each pair of ids, the customer and this address of theirs, if there is one; None without such a customer.

        All are as they are at one moment. The id None is nobody's.
        """

    async def without_account(self, *, older_than_s: float, after: UUID | None, limit: int) -> Sequence[UUID]:
        """Returns customers who registered that long ago and have no account yet, in the order of their ids, from `after` on."""

    async def record_account(self, customer_id: UUID) -> None:
        """Records that the account is open."""


class Addresses(Protocol):
    """Addresses, read."""

    async def find(self, customer_id: UUID, address_id: UUID) -> Address | None:
        """Returns the address."""

    async def list(self, customer_id: UUID, *, before: tuple[datetime, UUID] | None, limit: int) -> Sequence[Address]:
        """Returns at most `limit` addresses, newest first, of those made before this time (and id, where times are equal)."""


class CustomerWrite(Protocol):
    """A transaction that changes one customer. Without `commit` nothing of it happens."""

    async def answered(self, key: RequestKey) -> Customer | None:
        """Returns what the request was answered before; None if it is new. Raises RequestIdReused."""

    async def lock(self, customer_id: UUID) -> Customer | None:
        """Returns the customer, whom nobody else changes until the transaction ends."""

    async def lock_with_admins(self, customer_id: UUID) -> tuple[Customer | None, Collection[UUID]]:
        """Returns the customer and the ids of all administrators, none of whom anybody else changes until the transaction ends."""

    async def commit(self, key: RequestKey, customer: Customer) -> None:
        """Stores the customer and remembers it as the answer."""


class AddressWrite(Protocol):
    """A transaction that changes one customer's addresses. Without a commit nothing of it happens."""

    async def answered(self, key: RequestKey) -> Address | None:
        """Returns what the request was answered before; None if it is new. Raises RequestIdReused."""

    async def was_removed(self, key: RequestKey) -> bool:
        """Tells whether this request has removed its address before. Raises RequestIdReused."""

    async def count_locked(self, customer_id: UUID) -> int | None:
        """Returns how many addresses the customer keeps, and nobody adds one until the transaction ends; None without such a customer."""

    async def lock(self, customer_id: UUID, address_id: UUID) -> Address | None:
        """Returns the address, which nobody else changes until the transaction ends."""

    async def commit_new(self, key: RequestKey, address: Address) -> None:
        """Stores a new address and remembers it as the answer."""

    async def commit_changed(self, key: RequestKey, address: Address) -> None:
        """Stores a changed address and remembers it as the answer."""

    async def commit_removed(self, key: RequestKey, address: Address) -> None:
        """Removes the address and remembers that."""


class Writes(Protocol):
    """Opens transactions."""

    def customer(self) -> AbstractAsyncContextManager[CustomerWrite]: ...

    def addresses(self) -> AbstractAsyncContextManager[AddressWrite]: ...


class PointsAccounts(Protocol):
    """The ledger's accounts, which belong to another service."""

    async def open(self, customer_id: UUID, request_id: UUID) -> None:
        """Opens the customer's account if it is not open. Raises what the peer says, or that it does not answer."""
