"""Addresses of customers, and the rules by which they change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from services.customers.domain.customer import check_etag
from services.customers.domain.errors import TooManyAddresses

ADDRESSES_MAX = 50


@dataclass(frozen=True, slots=True)
class Place:
    """What a customer says of an address."""

    recipient: str
    phone: str
    lines: tuple[str, ...]
    city: str
    postal_code: str
    country_code: str


@dataclass(frozen=True, slots=True)
class Address:
    """A place where a customer receives things. `version` counts the changes."""

    customer_id: UUID
    id: UUID
    place: Place
    created_at: datetime
    updated_at: datetime
    version: int = 1


def check_room(kept: int) -> None:
    """Raises TooManyAddresses if a customer who keeps this many may not have one more."""
    if kept >= ADDRESSES_MAX:
        raise TooManyAddresses(ADDRESSES_MAX)


def moved(address: Address, place: Place, etag: str, now: datetime) -> Address:
    """Returns the address with another place. Raises EtagMismatch."""
    check_etag(etag, address.version)
    return replace(address, place=place, version=address.version + 1, updated_at=max(now, address.updated_at))
