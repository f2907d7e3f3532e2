"""Recipients: for whom an order is, and where it goes."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from services.customers.domain.address import Address
from services.customers.domain.customer import Customer
from services.customers.domain.errors import AddressNotFound, CustomerNotFound


@dataclass(frozen=True, slots=True)
class RecipientQuery:
    """Who is asked for. An id is None if what was named can't be anybody's, or can't be an address of this customer."""

    customer_id: UUID | None
    address_id: UUID | None
    names_address: bool


@dataclass(frozen=True, slots=True)
class Recipient:
    """A customer and the one of their addresses that is meant, None if none is."""

    customer: Customer
    address: Address | None


Outcome = Recipient | CustomerNotFound | AddressNotFound


def outcome_of(query: RecipientQuery, found: Recipient | None) -> Outcome:
    """Returns what the query is answered, given the customer, and the address if it is theirs."""
    if found is None:
        return CustomerNotFound()
    return AddressNotFound() if query.names_address and found.address is None else found
