"""Small stand-ins for the outside of the use cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

from services.customers.application.ports import Hasher, Registration, Token
from services.customers.domain.customer import Customer
from services.customers.domain.login import Attempt
from services.customers.domain.recipient import Recipient

T = TypeVar("T")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class FixedClock:
    def now(self) -> datetime:
        return NOW


@dataclass
class PlainHasher:
    """Hashes are the password with a mark in front; what was done is counted."""

    mark: str = "new:"
    done: Counter[str] = field(default_factory=Counter)

    async def hash(self, password: str) -> str:
        self.done["hash"] += 1
        return self.mark + password

    async def verify(self, password_hash: str | None, password: str) -> bool:
        self.done["verify"] += 1
        return password_hash is not None and password_hash.partition(":")[2] == password

    def is_outdated(self, password_hash: str) -> bool:
        return not password_hash.startswith(self.mark)


@dataclass
class OneTurn:
    hasher: PlainHasher

    async def in_turn(self, work: Callable[[Hasher], Awaitable[T]]) -> T:
        return await work(self.hasher)


@dataclass
class MemoryRegistrations:
    rows: dict[str, Registration] = field(default_factory=dict)
    # Someone who registers the same login between our look and our write.
    faster: Registration | None = None

    async def find(self, login: str) -> Registration | None:
        return self.rows.get(login)

    async def find_request(self, request_id: UUID) -> Registration | None:
        return next((row for row in self.rows.values() if row.request_id == request_id), None)

    async def add(self, customer: Customer, password_hash: str, request_id: UUID) -> bool:
        if self.faster is not None:
            self.rows[self.faster.login] = self.faster
        if customer.login in self.rows or await self.find_request(request_id):
            return False
        self.rows[customer.login] = Registration(customer.id, customer.login, request_id, customer.roles, password_hash)
        return True

    async def replace_hash(self, customer_id: UUID, *, old: str, new: str) -> None:
        for login, row in self.rows.items():
            if (row.customer_id, row.password_hash) == (customer_id, old):
                self.rows[login] = replace(row, password_hash=new)


@dataclass
class CountedFailures:
    limit: int = 1000
    counts: Counter[Attempt] = field(default_factory=Counter)
    forgotten: int = 0

    async def wait_s(self, attempt: Attempt) -> float:
        return 7.0 if self.counts[attempt] >= self.limit else 0.0

    async def count(self, attempt: Attempt) -> None:
        self.counts[attempt] += 1

    async def forget_old(self) -> None:
        self.forgotten += 1


class ReadableTokens:
    def issue(self, customer_id: UUID, roles: Collection[str]) -> Token:
        return Token(f"{customer_id} {sorted(roles)}", NOW)


@dataclass
class MemoryCustomers:
    missing: list[UUID]

    async def find(self, customer_id: UUID) -> Customer | None:
        return None

    async def find_recipients(self, ids: Sequence[tuple[UUID | None, UUID | None]]) -> Sequence[Recipient | None]:
        return [None for _ in ids]

    async def without_account(self, *, older_than_s: float, after: UUID | None, limit: int) -> Sequence[UUID]:
        return [one for one in sorted(self.missing) if after is None or one > after][:limit]

    async def record_account(self, customer_id: UUID) -> None:
        self.missing.remove(customer_id)


@dataclass
class MemoryAccounts:
    refused: Collection[UUID] = ()
    opened: list[tuple[UUID, UUID]] = field(default_factory=list)

    async def open(self, customer_id: UUID, request_id: UUID) -> None:
        if customer_id in self.refused:
            raise ConnectionError("the balance service is away")
        self.opened.append((customer_id, request_id))
