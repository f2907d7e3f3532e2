"""Decides whether a caller may make a call: the contract's policy, applied. Deny by default."""

from __future__ import annotations

from google.protobuf.message import Message

from shared.auth.principal import Kind, Principal
from shared.errors import AccessDenied, CredentialsMissing
from shared.grpc.contract import MethodContract

CUSTOMER = "customer"


def admit(contract: MethodContract, principal: Principal) -> None:
    """Raises CredentialsMissing or AccessDenied if the caller may not use the method at all."""
    if contract.public:
        return
    if principal.kind is Kind.ANONYMOUS:
        raise CredentialsMissing("this method needs a token: `authorization: Bearer ...`")
    if principal.kind is Kind.SERVICE:
        admitted = principal.id in contract.services
    else:
        admitted = not contract.roles.isdisjoint(principal.roles)
    if not admitted:
        raise AccessDenied("this caller may not use this method")


def bound_to_own(contract: MethodContract, principal: Principal) -> bool:
    """Tells whether the caller may use the method on their own resources only: a person whom only the customer's role admits."""
    if contract.ownership is None or principal.kind is not Kind.PERSON:
        return False
    return contract.roles.isdisjoint(principal.roles - {CUSTOMER})


def check_owner(contract: MethodContract, principal: Principal, request: Message, *, well_formed: bool) -> None:
    """Raises AccessDenied unless every resource that the request names is the caller's own.

    A name that holds no owner is left to validation, which says what is wrong with it; once the request is `well_formed`, it is denied.
    """
    assert contract.ownership is not None
    owners = contract.ownership.owners(request)
    malformed = not owners or "" in owners
    if (malformed and well_formed) or owners - {"", principal.id}:
        raise AccessDenied("the resource is not yours")
