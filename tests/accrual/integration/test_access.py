"""Who may call what, and that a customer sees and claims for nobody else. A refusal is as good as the token is bad."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import grpc
import pytest
from galen.accrual.v1 import accrual_service_pb2 as messages

from shared.auth.keys import PEOPLE_ISSUER, SigningKey, generate_key, key_id
from shared.auth.tokens import mint
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities, Metadata, bearer
from tests.accrual.world import Customer, World

Caller = Callable[[Identities, Customer], Metadata]

NUMBER = "79927398713"


def ourselves(identities: Identities, customer: Customer) -> Metadata:
    return customer.metadata


def person(*roles: str) -> Caller:
    return lambda identities, _customer: identities.customer(str(uuid4()), roles=roles)


def service(name: str) -> Caller:
    return lambda identities, _customer: identities.service(name)


def requests(customer: Customer) -> dict[str, Any]:
    good = messages.PurchasedGood(description="Cup", price_minor=1)
    return {
        "SubmitClaim": messages.SubmitClaimRequest(parent=customer.parent, number=NUMBER, request_id=str(uuid4())),
        "RegisterPurchase": messages.RegisterPurchaseRequest(parent=customer.parent, number=NUMBER, goods=[good], request_id=str(uuid4())),
        "GetClaim": messages.GetClaimRequest(name=f"{customer.parent}/claims/{NUMBER}"),
        "ListClaims": messages.ListClaimsRequest(parent=customer.parent),
        "GetProviderStatus": messages.GetProviderStatusRequest(),
    }


METHODS = ("SubmitClaim", "RegisterPurchase", "GetClaim", "ListClaims", "GetProviderStatus")
ADMITTED: dict[str, tuple[Caller, ...]] = {
    "SubmitClaim": (ourselves,),
    "RegisterPurchase": (service("orders"),),
    "GetClaim": (ourselves, person("staff"), person("admin"), service("orders")),
    "ListClaims": (ourselves, person("staff"), person("admin"), service("orders")),
    "GetProviderStatus": (person("staff"), person("admin"), service("orders")),
}
REFUSED: dict[str, tuple[Caller, ...]] = {
    "SubmitClaim": (person("customer"), person("staff"), person("pharmacist"), service("orders"), service("balance"), person()),
    "RegisterPurchase": (ourselves, person("admin"), service("accrual"), service("gateway"), person()),
    "GetClaim": (person("customer"), person("pharmacist"), service("balance"), person()),
    "ListClaims": (person("customer"), person("pharmacist"), service("customers"), person()),
    "GetProviderStatus": (ourselves, person("customer"), service("balance"), person()),
}


@pytest.mark.parametrize(("method", "caller"), [(method, caller) for method, callers in ADMITTED.items() for caller in callers])
async def test_those_whom_the_contract_names_are_admitted(
    world: World, customer: Customer, identities: Identities, method: str, caller: Caller
) -> None:
    await customer.submit(NUMBER)

    assert await getattr(world.accrual, method)(requests(customer)[method], metadata=caller(identities, customer), timeout=5)


@pytest.mark.parametrize("method", METHODS)
async def test_all_others_are_refused(world: World, customer: Customer, identities: Identities, method: str) -> None:
    for caller in REFUSED[method]:
        refusal = await refusal_of(
            getattr(world.accrual, method)(requests(customer)[method], metadata=caller(identities, customer), timeout=5)
        )
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ACCESS_DENIED")


@pytest.mark.parametrize("method", METHODS)
async def test_without_a_good_token_nothing_is_answered(world: World, customer: Customer, identities: Identities, method: str) -> None:
    stranger = generate_key()
    forged = mint(
        SigningKey(key_id(stranger.public_key()), stranger),
        issuer=PEOPLE_ISSUER,
        subject=customer.id,
        roles=("customer", "admin"),
        lifetime=timedelta(hours=1),
    )
    callers: dict[str, list[Metadata]] = {
        "CREDENTIALS_MISSING": [()],
        "CREDENTIALS_INVALID": [
            bearer("nonsense"),
            bearer(forged),
            identities.customer(customer.id, lifetime=timedelta(hours=-1)),
            (("authorization", "Basic abc"),),
        ],
    }
    for reason, metadatas in callers.items():
        for metadata in metadatas:
            refusal = await refusal_of(getattr(world.accrual, method)(requests(customer)[method], metadata=metadata, timeout=5))
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("SubmitClaim", messages.SubmitClaimRequest(parent="customers/", number=NUMBER, request_id=str(uuid4())), "parent"),
        ("RegisterPurchase", messages.RegisterPurchaseRequest(parent="x", number=NUMBER, request_id=str(uuid4())), "parent"),
        ("RegisterPurchase", messages.RegisterPurchaseRequest(parent="customers/a", number=NUMBER, request_id=str(uuid4())), "goods"),
        (
            "RegisterPurchase",
            messages.RegisterPurchaseRequest(
                parent="customers/a",
                number=NUMBER,
                request_id=str(uuid4()),
                goods=[messages.PurchasedGood(description="a\0b", price_minor=1)],
            ),
            "goods[0].description",
        ),
        (
            "RegisterPurchase",
            messages.RegisterPurchaseRequest(
                parent="customers/a",
                number=NUMBER,
                request_id=str(uuid4()),
                goods=[messages.PurchasedGood(description="a", price_minor=-1)],
            ),
            "goods[0].price_minor",
        ),
        ("GetClaim", messages.GetClaimRequest(name="customers/a/claims/x"), "name"),
        ("ListClaims", messages.ListClaimsRequest(parent="customers/a", page_size=-1), "page_size"),
    ],
)
async def test_malformed_requests_are_refused_with_the_field_named(
    world: World, identities: Identities, method: str, request_: Any, field: str
) -> None:
    caller = identities.customer("a") if method == "SubmitClaim" else identities.service("orders")

    refusal = await refusal_of(getattr(world.accrual, method)(request_, metadata=caller, timeout=5))

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    assert refusal.message.startswith(field)
