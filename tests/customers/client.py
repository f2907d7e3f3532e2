"""The service as its callers see it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict, TypeVar
from uuid import uuid4

import grpc
from galen.customers.v1 import auth_service_pb2 as auth_messages
from galen.customers.v1 import customer_service_pb2 as messages
from galen.customers.v1.address_pb2 import Address
from galen.customers.v1.auth_service_pb2_grpc import AuthServiceStub
from galen.customers.v1.customer_pb2 import Customer
from galen.customers.v1.customer_service_pb2_grpc import CustomerServiceStub
from galen.options.v1 import policy_pb2
from google.protobuf.field_mask_pb2 import FieldMask

from shared.testing.identities import Metadata

if TYPE_CHECKING:
    from galen.customers.v1.auth_service_pb2_grpc import AuthServiceAsyncStub
    from galen.customers.v1.customer_service_pb2_grpc import CustomerServiceAsyncStub

PASSWORD = "correct horse"
TIMEOUT_S = 5

T = TypeVar("T")


class Options(TypedDict):
    metadata: Metadata
    timeout: float


def new_login() -> str:
    return f"login-{uuid4()}"


class Auth:
    """AuthService."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.stub: AuthServiceAsyncStub = AuthServiceStub(channel)

    def register(
        self, login: str, *, password: str = PASSWORD, request_id: str | None = None, metadata: Metadata = ()
    ) -> Awaitable[auth_messages.RegisterResponse]:
        request = auth_messages.RegisterRequest(login=login, password=password, request_id=request_id or str(uuid4()))
        return self.stub.Register(request, timeout=TIMEOUT_S, metadata=metadata)

    def log_in(
        self, login: str, *, password: str = PASSWORD, metadata: Metadata = (), timeout: float = TIMEOUT_S
    ) -> Awaitable[auth_messages.LoginResponse]:
        return self.stub.Login(auth_messages.LoginRequest(login=login, password=password), timeout=timeout, metadata=metadata)

    async def jwks(self) -> list[auth_messages.Jwk]:
        return list((await self.stub.GetJwks(auth_messages.GetJwksRequest(), timeout=TIMEOUT_S)).keys)


async def until(is_so: Callable[[], bool], *, within_s: float = 10) -> None:
    """Waits until something has become true."""
    async with asyncio.timeout(within_s):
        while not is_so():  # noqa: ASYNC110  nobody tells us when
            await asyncio.sleep(0.05)


async def soon(call: Callable[[], Awaitable[T]], *, within_s: float = 10) -> T:
    """Repeats a call until what it asks for is there."""
    async with asyncio.timeout(within_s):
        while True:
            try:
                return await call()
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise
            await asyncio.sleep(0.05)


class Customers:
    """CustomerService, called by somebody."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Metadata) -> None:
        self.stub: CustomerServiceAsyncStub = CustomerServiceStub(channel)
        self.metadata = metadata

    async def get(self, name: str) -> Customer:
        return (await self.stub.GetCustomer(messages.GetCustomerRequest(name=name), **self._options)).customer

    async def update(self, name: str, *, etag: str = "", request_id: str | None = None, **changes: str) -> Customer:
        request = messages.UpdateCustomerRequest(
            name=name, update_mask=FieldMask(paths=list(changes)), etag=etag, request_id=request_id or str(uuid4()), **changes
        )
        return (await self.stub.UpdateCustomer(request, **self._options)).customer

    async def set_roles(self, name: str, *roles: policy_pb2.Role.ValueType, request_id: str | None = None) -> Customer:
        request = messages.SetRolesRequest(name=name, roles=roles, request_id=request_id or str(uuid4()))
        return (await self.stub.SetRoles(request, **self._options)).customer

    async def create_address(self, parent: str, *, request_id: str | None = None, **changes: str) -> Address:
        request = messages.CreateAddressRequest(parent=parent, address=place(**changes), request_id=request_id or str(uuid4()))
        return (await self.stub.CreateAddress(request, **self._options)).address

    async def get_address(self, name: str) -> Address:
        return (await self.stub.GetAddress(messages.GetAddressRequest(name=name), **self._options)).address

    async def recipients(self, *queries: tuple[str, str]) -> list[messages.RecipientResult]:
        """Asks for names of customers and of their addresses, the latter empty for a profile alone."""
        request = messages.BatchResolveRecipientsRequest(
            queries=[messages.RecipientQuery(name=name, address=address) for name, address in queries]
        )
        return list((await self.stub.BatchResolveRecipients(request, **self._options)).results)

    async def list_addresses(self, parent: str, *, page_size: int = 0, page_token: str = "") -> messages.ListAddressesResponse:
        request = messages.ListAddressesRequest(parent=parent, page_size=page_size, page_token=page_token)
        return await self.stub.ListAddresses(request, **self._options)

    async def update_address(self, name: str, *, request_id: str | None = None, **changes: str) -> Address:
        request = messages.UpdateAddressRequest(name=name, address=place(**changes), request_id=request_id or str(uuid4()))
        return (await self.stub.UpdateAddress(request, **self._options)).address

    async def delete_address(self, name: str, *, request_id: str | None = None) -> None:
        request = messages.DeleteAddressRequest(name=name, request_id=request_id or str(uuid4()))
        await self.stub.DeleteAddress(request, **self._options)

    @property
    def _options(self) -> Options:
        return {"metadata": self.metadata, "timeout": TIMEOUT_S}


@dataclass(frozen=True, slots=True)
class Person:
    """Someone who has registered, and their own calls."""

    name: str
    login: str
    token: str
    calls: Customers


RegisterPerson = Callable[[], Awaitable[Person]]


def place(**changes: str) -> Address:
    """Returns a valid address, with some fields changed."""
    valid = {"recipient": "Ada", "phone": "+35312345678", "city": "Cork", "postal_code": "T12", "country_code": "IE"}
    return Address(lines=["1 Main Street", "Floor 2"], **{**valid, **changes})  # type: ignore[arg-type]
