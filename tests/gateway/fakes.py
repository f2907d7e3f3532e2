"""Services that answer as they are told, on a real gRPC server: for faults that real ones do not have on demand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from galen.accrual.v1.accrual_service_pb2 import SUBMIT_OUTCOME_CREATED, SubmitClaimResponse
from galen.customers.v1.auth_service_pb2 import AccessToken, LoginResponse, RegisterResponse
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2_grpc

from services.gateway.container import CONTRACTS, REASONS
from shared.errors import GalenError
from shared.grpc.errors import ErrorCatalogue, to_grpc_status
from shared.grpc.interceptor import Context

Answer = Callable[[Any], Awaitable[Any]]
USUAL: dict[str, Message] = {
    "Register": RegisterResponse(token=AccessToken(value="a.b.c")),
    "Login": LoginResponse(token=AccessToken(value="a.b.c")),
    "SubmitClaim": SubmitClaimResponse(outcome=SUBMIT_OUTCOME_CREATED),
}


@dataclass(frozen=True, slots=True)
class Call:
    """What reached a service."""

    method: str
    request: Any
    metadata: dict[str, str]


class PeerFailure(Exception):
    """Ends a call with a bare status, as a network or a stranger's server would."""

    def __init__(self, code: grpc.StatusCode, details: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.details = details


def refusal(domain: str, reason: str) -> GalenError:
    """Returns a refusal of a service: of whatever domain and reason, without a class of its own."""
    error = GalenError("no")
    vars(error).update(domain=domain, reason=reason)
    return error


# The edge asks for them with its first request that bears a token, whatever is asked for, and then not for a while.
KEYS = "GetJwks"


class FakeServices:
    """Notes every call but that for keys; answers as is usual, or as `answers` says by the method's name."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.answers: dict[str, Answer] = {}
        self._catalogue = ErrorCatalogue(REASONS)

    def fail(self, method: str, error: Exception) -> None:
        """Makes a method end with a reason of ours, or a PeerFailure."""

        async def failing(_request: Any) -> Any:
            raise error

        self.answers[method] = failing

    def answer(self, method: str, message: Message) -> None:
        async def answering(_request: Any) -> Any:
            return message

        self.answers[method] = answering

    def called(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method == method]

    def handlers(self, service: ServiceDescriptor) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(service.full_name, {method.name: self._handler(method) for method in service.methods})

    def _handler(self, method: MethodDescriptor) -> Any:
        request, response = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        return grpc.unary_unary_rpc_method_handler(
            partial(self._serve, method.name, USUAL.get(method.name, response())),
            request_deserializer=request.FromString,
            response_serializer=response.SerializeToString,
        )

    async def _serve(self, method: str, usual: Message, request: Any, context: Context) -> Any:
        metadata = {key: str(value) for key, value in context.invocation_metadata() or ()}
        if method != KEYS:
            self.calls.append(Call(method, request, metadata))
        if method not in self.answers:
            return usual
        try:
            return await self.answers[method](request)
        except GalenError as error:
            await context.abort_with_status(to_grpc_status(self._catalogue.status(error)))
        except PeerFailure as failure:
            await context.abort(failure.code, failure.details)


@asynccontextmanager
async def served_fakes() -> AsyncIterator[tuple[FakeServices, str]]:
    """Serves all of them on one free port; yields them and their address."""
    fakes, server = FakeServices(), grpc.aio.server()
    services = [service for contract in CONTRACTS.values() for service in contract.services_by_name.values()]
    server.add_generic_rpc_handlers(tuple(map(fakes.handlers, services)))
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield fakes, f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
