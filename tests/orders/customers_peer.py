"""The customers service as orders sees it: a real server that speaks the contract, with people made up on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from galen.customers.v1 import address_pb2, customer_pb2, error_reason_pb2
from galen.customers.v1 import customer_service_pb2 as messages

from services.customers.domain.errors import AddressNotFound, CustomerNotFound
from shared.errors import GalenError, Unavailable
from shared.grpc.errors import ErrorCatalogue, to_grpc_status
from shared.grpc.interceptor import Context

ERRORS = ErrorCatalogue([error_reason_pb2.DESCRIPTOR.enum_types_by_name["ErrorReason"]])
NOBODY = "00000000-0000-4000-8000-000000000000"
NOWHERE = NOBODY
SERVICE = messages.DESCRIPTOR.services_by_name["CustomerService"].full_name


@dataclass
class People:
    """Everybody but NOBODY is a customer, and has every address but NOWHERE. `asked` are the names of all calls."""

    away: bool = False
    slow_s: float = 0.0
    phone: str = "+353871234567"
    display_name: str = "Ann Example"
    asked: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    port: int = 0

    async def ResolveRecipient(self, request: messages.ResolveRecipientRequest, context: Context) -> messages.ResolveRecipientResponse:
        await self._met(" ".join(filter(None, (request.name, request.address))), context)
        if NOBODY in request.name:
            await refuse(context, CustomerNotFound())
        if request.address.endswith(NOWHERE):
            await refuse(context, AddressNotFound())
        return messages.ResolveRecipientResponse(
            customer=self._customer(request.name), address=_address(request.address) if request.address else None
        )

    async def GetAddress(self, request: messages.GetAddressRequest, context: Context) -> messages.GetAddressResponse:
        await self._met(request.name, context)
        if request.name.endswith(NOWHERE):
            await refuse(context, AddressNotFound())
        return messages.GetAddressResponse(address=_address(request.name))

    def _customer(self, name: str) -> customer_pb2.Customer:
        return customer_pb2.Customer(name=name, login="ann", display_name=self.display_name, phone=self.phone, email="ann@example.com")

    async def _met(self, name: str, context: Context) -> None:
        self.asked.append(name)
        self.tokens.append(str(dict(context.invocation_metadata() or ()).get("authorization")))
        await asyncio.sleep(self.slow_s)
        if self.away:
            await refuse(context, Unavailable())


def _address(name: str) -> address_pb2.Address:
    return address_pb2.Address(
        name=name, recipient="Ann", phone="+35311111", lines=["1 Main St"], city="Dublin", postal_code="D1", country_code="IE"
    )


def _methods(people: People) -> dict[str, Any]:
    kinds: dict[str, tuple[Any, Any]] = {
        "ResolveRecipient": (people.ResolveRecipient, messages.ResolveRecipientRequest),
        "GetAddress": (people.GetAddress, messages.GetAddressRequest),
    }
    return {
        name: grpc.unary_unary_rpc_method_handler(
            behavior, request_deserializer=request.FromString, response_serializer=lambda message: message.SerializeToString()
        )
        for name, (behavior, request) in kinds.items()
    }


async def refuse(context: Context, error: GalenError) -> None:
    await context.abort_with_status(to_grpc_status(ERRORS.status(error)))


@asynccontextmanager
async def people_served() -> AsyncIterator[People]:
    """Serves on a free port of this machine until the block ends."""
    server, people = grpc.aio.server(), People()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, _methods(people)),))
    people.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield people
    finally:
        await server.stop(0)
