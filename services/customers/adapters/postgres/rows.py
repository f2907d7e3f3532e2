"""Rows as domain objects, and domain objects as the replies that the request log remembers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from services.customers.adapters.postgres.tables import address as address_table
from services.customers.adapters.postgres.tables import customer as customer_table
from services.customers.domain.address import Address, Place
from services.customers.domain.customer import ROLES, Customer

_CUSTOMER = ("customer_id", "login", "display_name", "phone", "email", "roles", "version", "created_at", "updated_at")
CUSTOMER_COLUMNS = tuple(customer_table.c[name] for name in _CUSTOMER)
ADDRESS_COLUMNS = tuple(address_table.c)


def customer_of(row: Row[Any] | Mapping[str, Any]) -> Customer:
    """Returns the customer of a row of CUSTOMER_COLUMNS."""
    values = dict(row if isinstance(row, Mapping) else row._mapping)
    roles = frozenset(values.pop("roles"))
    return Customer(id=values.pop("customer_id"), roles=roles, **values)


def customer_values(customer: Customer) -> dict[str, Any]:
    """Returns the values of CUSTOMER_COLUMNS, by name."""
    values = {name: getattr(customer, name) for name in _CUSTOMER if name not in {"customer_id", "roles"}}
    return {"customer_id": customer.id, "roles": [role for role in ROLES if role in customer.roles], **values}


def address_of(row: Row[Any] | Mapping[str, Any]) -> Address:
    """Returns the address of a row of ADDRESS_COLUMNS."""
    values = dict(row if isinstance(row, Mapping) else row._mapping)
    lines = tuple(values.pop("lines"))
    place = Place(lines=lines, **{name: values.pop(name) for name in ("recipient", "phone", "city", "postal_code", "country_code")})
    return Address(id=values.pop("address_id"), place=place, **values)


def address_values(address: Address) -> dict[str, Any]:
    """Returns the values of ADDRESS_COLUMNS, by name."""
    place = address.place
    return {
        "customer_id": address.customer_id,
        "address_id": address.id,
        "recipient": place.recipient,
        "phone": place.phone,
        "lines": list(place.lines),
        "city": place.city,
        "postal_code": place.postal_code,
        "country_code": place.country_code,
        "version": address.version,
        "created_at": address.created_at,
        "updated_at": address.updated_at,
    }


def reply_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a row's values as JSON can hold them."""
    return {name: str(value) if isinstance(value, UUID | datetime) else value for name, value in values.items()}


def values_of(reply: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the row's values that `reply_of` was given."""
    readers: dict[str, Callable[[str], object]] = {
        "customer_id": UUID,
        "address_id": UUID,
        "created_at": datetime.fromisoformat,
        "updated_at": datetime.fromisoformat,
    }
    return {name: readers[name](value) if name in readers else value for name, value in reply.items()}
