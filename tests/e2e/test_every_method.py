"""Every method of every service, called on the running stack by callers of all kinds with messages that they should not send.

Whatever they send they get a status that the contract knows, with ErrorInfo: never INTERNAL, UNKNOWN or UNIMPLEMENTED.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from uuid import uuid4

import grpc
import pytest
import pytest_asyncio
from google.protobuf.descriptor_pool import DescriptorPool
from grpc import StatusCode
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from deploy.local.keys import KeyFolder
from shared.auth.keys import PEOPLE_ISSUER, SigningKey, generate_key, load_signing_key
from shared.auth.tokens import mint
from shared.grpc.contract import EXEMPT_PREFIXES
from tests.e2e.methods import Method, Outcome, methods
from tests.e2e.sensible_requests import SOMEBODY, sensible_request
from tests.e2e.stack_process import StackProcess

HOUR = timedelta(hours=1)
# Those that need nothing from whoever may call them.
EMPTY_REQUEST_IS_VALID = {
    "/galen.accrual.v1.AccrualService/GetProviderStatus",
    "/galen.balance.v1.BalanceService/ListPrograms",
    "/galen.customers.v1.AuthService/GetJwks",
    "/galen.inventory.v1.InventoryService/ListLocations",
    "/galen.orders.v1.CatalogService/ListMedicines",
}

# Anybody may call it, and only the payment provider can sign for it.
SIGNED = "/galen.orders.v1.PaymentService/DeliverWebhook"

Channels = Mapping[str, grpc.aio.Channel]


def each(chosen: Iterable[Method]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("method", list(chosen), ids=lambda method: method.path)


every_method = each(methods())
guarded_method = each(method for method in methods() if not method.contract.public)
own_method = each(method for method in methods() if method.contract.ownership and "customer" in method.contract.roles)


@pytest_asyncio.fixture(scope="module")
async def channels(stack: StackProcess) -> AsyncIterator[Channels]:
    """A plain channel to each server."""
    async with AsyncExitStack() as opened:
        yield {
            server: await opened.enter_async_context(grpc.aio.insecure_channel(address))
            for server, address in stack.published["grpc"].items()
        }


@pytest.fixture(scope="module")
def keys(stack: StackProcess) -> KeyFolder:
    """The keys that `galen token` signs with."""
    return KeyFolder(stack.state.keys)


def forged_token(keys: KeyFolder) -> str:
    """An administrator's, signed by a stranger who knows the id of the real key."""
    stranger = SigningKey(load_signing_key(keys.customers_key).kid, generate_key())
    return mint(stranger, issuer=PEOPLE_ISSUER, subject=str(uuid4()), roles=["admin"], lifetime=HOUR)


def admitted_token(keys: KeyFolder, method: Method) -> str | None:
    """The token of somebody whom the contract lets call; a service if only services may."""
    contract = method.contract
    if contract.public:
        return None
    if contract.roles:
        return keys.mint_for_person(SOMEBODY, sorted(contract.roles), HOUR)
    return keys.mint_for_service(min(contract.services), HOUR)


def is_told_apart(outcome: Outcome) -> bool:
    """Whether a program can tell what was wrong: a reason, and the domain that knows it."""
    return bool(outcome.reason) and (outcome.domain == "galen" or outcome.domain.endswith(".galen"))


@guarded_method
async def test_without_a_token_or_with_a_forged_one_nobody_gets_in(method: Method, channels: Channels, keys: KeyFolder) -> None:
    for token in (None, forged_token(keys), "nonsense"):
        outcome = await method.call(channels[method.server], token=token)
        assert outcome.code == StatusCode.UNAUTHENTICATED, outcome
        assert is_told_apart(outcome), outcome


@guarded_method
async def test_a_role_or_a_service_that_the_contract_does_not_name_is_refused(method: Method, channels: Channels, keys: KeyFolder) -> None:
    for role in ("customer", "staff", "pharmacist", "admin"):
        if role not in method.contract.roles:
            await expect_denied(method, channels, keys.mint_for_person(str(uuid4()), [role], HOUR))
    for service in ("gateway", "balance", "accrual", "customers", "orders"):
        if service not in method.contract.services:
            await expect_denied(method, channels, keys.mint_for_service(service, HOUR))


async def expect_denied(method: Method, channels: Channels, token: str) -> None:
    outcome = await method.call(channels[method.server], token=token)
    assert outcome.code == StatusCode.PERMISSION_DENIED, outcome
    assert is_told_apart(outcome), outcome


@own_method
async def test_what_belongs_to_somebody_else_is_refused(method: Method, channels: Channels, keys: KeyFolder) -> None:
    token = keys.mint_for_person("ada", ["customer"], HOUR)
    outcome = await method.call(channels[method.server], method.naming("grace"), token)
    assert outcome.code == StatusCode.PERMISSION_DENIED, outcome
    assert is_told_apart(outcome), outcome


@every_method
async def test_an_empty_message_of_somebody_who_may_call_is_refused_field_by_field(
    method: Method, channels: Channels, keys: KeyFolder
) -> None:
    outcome = await method.call(channels[method.server], token=admitted_token(keys, method))
    if method.contract.receives_stream:
        assert (outcome.code, outcome.reason) == (StatusCode.OK, "INVALID_REQUEST"), outcome
    elif method.path in EMPTY_REQUEST_IS_VALID:
        assert outcome.code == StatusCode.OK, outcome
    else:
        assert outcome.code == StatusCode.INVALID_ARGUMENT, outcome
        assert outcome.violations, outcome
        assert is_told_apart(outcome), outcome


@every_method
async def test_a_sensible_message_is_served_or_refused_for_a_reason_of_the_service(
    method: Method, channels: Channels, keys: KeyFolder
) -> None:
    token = admitted_token(keys, method)
    outcome = await method.call(channels[method.server], sensible_request(method), token)
    if method.path == SIGNED:
        assert outcome.code == StatusCode.UNAUTHENTICATED, outcome
    else:
        assert outcome.code in (StatusCode.OK, StatusCode.NOT_FOUND, StatusCode.FAILED_PRECONDITION), outcome
    assert outcome.code == StatusCode.OK or outcome.domain in method.domains, outcome


async def test_reflection_shows_exactly_the_methods_of_the_contracts(stack: StackProcess) -> None:
    shown = set[str]()
    for address in stack.published["grpc"].values():
        shown |= await asyncio.to_thread(reflected, address)
    assert {path for path in shown if not path.startswith(EXEMPT_PREFIXES)} == {method.path for method in methods()}


def reflected(address: str) -> set[str]:
    """The methods of a server, as it tells of them itself."""
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(database)
        return {f"/{service}/{method.name}" for service in database.get_services() for method in pool.FindServiceByName(service).methods}
