"""The service as its callers see it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

import grpc
from galen.customers.v1 import auth_service_pb2 as auth_messages
from galen.customers.v1.auth_service_pb2_grpc import AuthServiceStub

from shared.testing.identities import Metadata

if TYPE_CHECKING:
    from galen.customers.v1.auth_service_pb2_grpc import AuthServiceAsyncStub

PASSWORD = "correct horse"
TIMEOUT_S = 5

T = TypeVar("T")


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
