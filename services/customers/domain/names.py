"""Resource names: `customers/{customer}` and `customers/{customer}/addresses/{address}`; the ids are UUIDs."""

from __future__ import annotations

from uuid import UUID, uuid5

from services.customers.domain.errors import AddressNotFound, CustomerNotFound
from services.customers.domain.recipient import RecipientQuery
from shared.ids import read_id

_NAMESPACE = UUID("0d9bb5d4-2a53-5f0c-8f4d-6a2f3a1c9e77")


def customer_name(customer_id: UUID) -> str:
    return f"customers/{customer_id}"


def address_name(customer_id: UUID, address_id: UUID) -> str:
    return f"{customer_name(customer_id)}/addresses/{address_id}"


def parse_customer(name: str) -> UUID:
    """Returns the id in a well-formed name. Raises CustomerNotFound if it can't be anybody's."""
    customer_id = read_id(name.split("/")[1])
    if customer_id is None:
        raise CustomerNotFound
    return customer_id


def parse_address(name: str) -> tuple[UUID, UUID]:
    """Returns the ids of the customer and the address. Raises AddressNotFound if they can't be anybody's."""
    _, customer, _, address = name.split("/")
    customer_id, address_id = read_id(customer), read_id(address)
    if customer_id is None or address_id is None:
        raise AddressNotFound
    return customer_id, address_id


def parse_recipient(name: str, address: str) -> RecipientQuery:
    """Returns what well-formed names of a customer and an address ask for. The address is empty if none is meant."""
    parent, _, address_id = address.partition("/addresses/")
    own = read_id(address_id) if parent == name else None
    return RecipientQuery(customer_id=read_id(name.removeprefix("customers/")), address_id=own, names_address=address != "")


def account_request_id(customer_id: UUID) -> UUID:
    """Returns the request_id under which a customer's points account is opened: the same at each try."""
    return uuid5(_NAMESPACE, f"open_account/{customer_id}")
