"""Reads many customers, each with one of their addresses, in one statement.

Every order asks for it, so what a row costs here, an order costs: ids are not read back, and rows become domain objects without a mapping
in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from services.customers.domain.address import Address, Place
from services.customers.domain.customer import Customer
from services.customers.domain.recipient import Recipient
from shared.postgres.round_trips import Statement, array

_CUSTOMER = ("login", "created_at", "updated_at", "display_name", "phone", "email", "roles", "version")
_ADDRESS = ("recipient", "phone", "lines", "city", "postal_code", "country_code", "created_at", "updated_at", "version")
_ADDRESS_AT = len(_CUSTOMER)

# `offset 0` keeps the looks apart: each walks along its primary key, however many there are and however small the planner takes the tables
# to be. The arrays are selected, so that it can't count what is in them: a plan for few rows would seem to be worth making each time, and
# making it costs more than what it does.
FIND_RECIPIENTS = f"""
select {", ".join(f"c.{name}" for name in _CUSTOMER)}, {", ".join(f"a.{name}" for name in _ADDRESS)}
from unnest((select %s::uuid[]), (select %s::uuid[])) with ordinality as asked (customer_id, address_id, place)
left join lateral (select * from customer where customer.customer_id = asked.customer_id offset 0) as c on true
left join lateral (
    select * from address where address.customer_id = asked.customer_id and address.address_id = asked.address_id offset 0
) as a on true
order by asked.place
"""  # noqa: S608  the columns are ours


def recipients_statement(ids: Sequence[tuple[UUID | None, UUID | None]]) -> Statement:
    """Returns the statement that finds a row for each pair of ids, in the same order."""
    return FIND_RECIPIENTS, [array(customer_id for customer_id, _ in ids), array(address_id for _, address_id in ids)]


def recipient_of(ids: tuple[UUID | None, UUID | None], row: Sequence[Any]) -> Recipient | None:
    """Returns what is in the row that was found for the ids."""
    customer_id, address_id = ids
    login, created_at, updated_at, display_name, phone, email, roles, version = row[:_ADDRESS_AT]
    if customer_id is None or login is None:
        return None
    customer = Customer(customer_id, login, created_at, updated_at, display_name, phone, email, frozenset(roles), version)
    return Recipient(customer, _address_of(customer_id, address_id, row[_ADDRESS_AT:]))


def _address_of(customer_id: UUID, address_id: UUID | None, row: Sequence[Any]) -> Address | None:
    recipient, phone, lines, city, postal_code, country_code, created_at, updated_at, version = row
    if address_id is None or recipient is None:
        return None
    place = Place(recipient, phone, tuple(lines), city, postal_code, country_code)
    return Address(customer_id, address_id, place, created_at, updated_at, version)
