"""Customers: what is known of them, and the rules by which it changes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from services.customers.domain.errors import EtagMismatch, LastAdmin

CUSTOMER = "customer"
ADMIN = "admin"
ROLES = (CUSTOMER, "staff", "pharmacist", ADMIN)


@dataclass(frozen=True, slots=True)
class Customer:
    """Someone who registered. `roles` are words of ROLES and hold CUSTOMER always; `version` counts the changes."""

    id: UUID
    login: str
    created_at: datetime
    updated_at: datetime
    display_name: str = ""
    phone: str = ""
    email: str = ""
    roles: frozenset[str] = frozenset({CUSTOMER})
    version: int = 1


@dataclass(frozen=True, slots=True)
class ProfileChange:
    """What to set of a profile; None leaves a field as it is."""

    display_name: str | None = None
    phone: str | None = None
    email: str | None = None


def etag_of(version: int) -> str:
    return f'"{version}"'


def check_etag(given: str, version: int) -> None:
    """Raises EtagMismatch unless the etag is empty or that of this version."""
    if given and given != etag_of(version):
        raise EtagMismatch


def with_profile(customer: Customer, change: ProfileChange, etag: str, now: datetime) -> Customer:
    """Returns the customer with another profile. Raises EtagMismatch."""
    check_etag(etag, customer.version)
    after = replace(
        customer,
        display_name=customer.display_name if change.display_name is None else change.display_name,
        phone=customer.phone if change.phone is None else change.phone,
        email=customer.email if change.email is None else change.email,
    )
    return _changed(after, now)


def with_roles(customer: Customer, roles: Collection[str], admins: Collection[UUID], now: datetime) -> Customer:
    """Returns the customer with these roles and CUSTOMER. `admins` are the ids of all administrators. Raises LastAdmin."""
    wanted = frozenset({CUSTOMER, *roles})
    if ADMIN in customer.roles and ADMIN not in wanted and not set(admins) - {customer.id}:
        raise LastAdmin
    return _changed(replace(customer, roles=wanted), now)


def _changed(customer: Customer, now: datetime) -> Customer:
    return replace(customer, version=customer.version + 1, updated_at=max(now, customer.updated_at))
