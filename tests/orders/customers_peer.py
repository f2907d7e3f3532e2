"""The customers service as orders sees it: a real server that speaks the contract, with people made up on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from galen.customers.v1 import address_pb2, customer_pb2, error_reason_pb2
from galen.customers.v1 import customer_service_pb2 as messages

from services.customers.domain.errors import AddressNotFound, CustomerNotFound
from shared.errors import GalenError, InvalidRequest, Unavailable
from shared.grpc.errors import ErrorCatalogue, to_grpc_status
from shared.grpc.interceptor import Context
from shared.observability.tracing import TRACEPARENT

ERRORS = ErrorCatalogue([error_reason_pb2.DESCRIPTOR.enum_types_by_name["ErrorReason"]])
NOBODY = "00000000-0000-4000-8000-000000000000"
NOWHERE = NOBODY
SERVICE = messages.DESCRIPTOR.services_by_name["CustomerService"].full_name


def _is_set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass
class People:
    """Everybody but NOBODY is a customer, and has every address but NOWHERE.

    `asked` are the names of all that was asked for, `batches` how many recipients each call asked for. Nobody is answered unless `going`
    is set, and a call that names `unreadable` is refused as a whole.
    """

    away: bool = False
    unreadable: str = "nothing"
    going: asyncio.Event = field(default_factory=_is_set)
    phone: str = "+353871234567"
    display_name: str = "Ann Example"
    asked: list[str] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    traces: list[str] = field(default_factory=list)
    port: int = 0

    async def BatchResolveRecipients(
        self, request: messages.BatchResolveRecipientsRequest, context: Context
    ) -> messages.BatchResolveRecipientsResponse:
        self.batches.append(len(request.queries))
        await self._met([" ".join(filter(None, (query.name, query.address))) for query in request.queries], context)
        return messages.BatchResolveRecipientsResponse(results=map(self._result, request.queries))

    async def GetAddress(self, request: messages.GetAddressRequest, context: Context) -> messages.GetAddressResponse:
        await self._met([request.name], context)
        if request.name.endswith(NOWHERE):
            await refuse(context, AddressNotFound())
        return messages.GetAddressResponse(address=_address(request.name))

    def _customer(self, name: str) -> customer_pb2.Customer:
        return customer_pb2.Customer(name=name, login="ann", display_name=self.display_name, phone=self.phone, email="ann@example.com")

    def _result(self, query: messages.RecipientQuery) -> messages.RecipientResult:
        if NOBODY in query.name:
            return messages.RecipientResult(error=ERRORS.status(CustomerNotFound()))
        if query.address.endswith(NOWHERE):
            return messages.RecipientResult(error=ERRORS.status(AddressNotFound()))
        address = _address(query.address) if query.address else None
        return messages.RecipientResult(recipient=messages.Recipient(customer=self._customer(query.name), address=address))

    async def _met(self, names: Sequence[str], context: Context) -> None:
        metadata = dict(context.invocation_metadata() or ())
        self.asked += names
        self.tokens.append(str(metadata.get("authorization")))
        self.traces.append(str(metadata.get(TRACEPARENT)))
        await self.going.wait()
        if self.unreadable in names:
            await refuse(context, InvalidRequest("a name can't be read"))
        if self.away:
            await refuse(context, Unavailable())


def _address(name: str) -> address_pb2.Address:
    return address_pb2.Address(
        name=name, recipient="Ann", phone="+35311111", lines=["1 Main St"], city="Dublin", postal_code="D1", country_code="IE"
    )


def _methods(people: People) -> dict[str, Any]:
    kinds: dict[str, tuple[Any, Any]] = {
        "BatchResolveRecipients": (people.BatchResolveRecipients, messages.BatchResolveRecipientsRequest),
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
