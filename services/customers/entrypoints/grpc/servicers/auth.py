"""AuthService over gRPC: convert, await, convert."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from galen.customers.v1 import auth_service_pb2 as messages
from galen.customers.v1 import auth_service_pb2_grpc

from services.customers.application.log_in import LogIn
from services.customers.application.register import Register
from services.customers.domain.names import customer_name
from services.customers.entrypoints.grpc.caller_address import CallerAddress
from services.customers.entrypoints.grpc.converters import jwk_message, token_message
from shared.grpc.interceptor import Context


class AuthServicer(auth_service_pb2_grpc.AuthServiceServicer):
    def __init__(self, register: Register, log_in: LogIn, jwks: Sequence[Mapping[str, str]], caller_address: CallerAddress) -> None:
        self._register = register
        self._log_in = log_in
        self._jwks = jwks
        self._caller_address = caller_address

    async def Register(self, request: messages.RegisterRequest, context: Context) -> messages.RegisterResponse:
        address = self._caller_address.of(context)
        session = await self._register.register(request.login, request.password, UUID(request.request_id), address)
        return messages.RegisterResponse(customer=customer_name(session.customer_id), token=token_message(session.token))

    async def Login(self, request: messages.LoginRequest, context: Context) -> messages.LoginResponse:
        session = await self._log_in.log_in(request.login, request.password, self._caller_address.of(context))
        return messages.LoginResponse(customer=customer_name(session.customer_id), token=token_message(session.token))

    async def GetJwks(self, request: messages.GetJwksRequest, context: Context) -> messages.GetJwksResponse:
        return messages.GetJwksResponse(keys=map(jwk_message, self._jwks))
