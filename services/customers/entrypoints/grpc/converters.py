"""Between the contract's messages and the domain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from galen.customers.v1 import address_pb2, auth_service_pb2, customer_pb2, customer_service_pb2
from galen.options.v1 import policy_pb2

from services.customers.application.ports import Token
from services.customers.domain.address import Address, Place
from services.customers.domain.customer import ROLES, Customer, ProfileChange, etag_of
from services.customers.domain.names import address_name, customer_name
from services.customers.domain.recipient import Outcome, Recipient
from shared.grpc.contract import role_name
from shared.grpc.errors import ErrorCatalogue
from shared.grpc.timestamps import timestamp


def token_message(token: Token) -> auth_service_pb2.AccessToken:
    return auth_service_pb2.AccessToken(value=token.value, expire_time=timestamp(token.expires_at))


def jwk_message(jwk: Mapping[str, str]) -> auth_service_pb2.Jwk:
    return auth_service_pb2.Jwk(kty=jwk["kty"], crv=jwk["crv"], x=jwk["x"], kid=jwk["kid"], alg=jwk["alg"], use=jwk["use"])


def customer_message(customer: Customer) -> customer_pb2.Customer:
    return customer_pb2.Customer(
        name=customer_name(customer.id),
        login=customer.login,
        display_name=customer.display_name,
        phone=customer.phone,
        email=customer.email,
        roles=[policy_pb2.Role.Value(f"ROLE_{role.upper()}") for role in ROLES if role in customer.roles],
        etag=etag_of(customer.version),
        create_time=timestamp(customer.created_at),
        update_time=timestamp(customer.updated_at),
    )


def address_message(address: Address) -> address_pb2.Address:
    place = address.place
    return address_pb2.Address(
        name=address_name(address.customer_id, address.id),
        recipient=place.recipient,
        phone=place.phone,
        lines=place.lines,
        city=place.city,
        postal_code=place.postal_code,
        country_code=place.country_code,
        etag=etag_of(address.version),
        create_time=timestamp(address.created_at),
        update_time=timestamp(address.updated_at),
    )


def recipient_result(outcome: Outcome, catalogue: ErrorCatalogue) -> customer_service_pb2.RecipientResult:
    if not isinstance(outcome, Recipient):
        return customer_service_pb2.RecipientResult(error=catalogue.status(outcome))
    address = None if outcome.address is None else address_message(outcome.address)
    recipient = customer_service_pb2.Recipient(customer=customer_message(outcome.customer), address=address)
    return customer_service_pb2.RecipientResult(recipient=recipient)


def place_of(message: address_pb2.Address) -> Place:
    return Place(
        recipient=message.recipient,
        phone=message.phone,
        lines=tuple(message.lines),
        city=message.city,
        postal_code=message.postal_code,
        country_code=message.country_code,
    )


def profile_change(request: customer_service_pb2.UpdateCustomerRequest) -> ProfileChange:
    return ProfileChange(**{path: getattr(request, path) for path in request.update_mask.paths})


def role_words(roles: Iterable[policy_pb2.Role.ValueType]) -> list[str]:
    return [role_name(role) for role in roles]


def position_of(address: Address) -> list[str]:
    """Returns where a page that ends with this address ends, as a page token holds it."""
    return [address.created_at.isoformat(), str(address.id)]


def read_position(position: list[str] | None) -> tuple[datetime, UUID] | None:
    return (datetime.fromisoformat(position[0]), UUID(position[1])) if position else None
