"""Every method of every service as the contracts describe it, and calls of it with whatever message and token."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import grpc
from galen.accrual.v1 import accrual_service_pb2
from galen.balance.v1 import balance_service_pb2
from galen.customers.v1 import auth_service_pb2, customer_service_pb2
from galen.inventory.v1 import inventory_service_pb2
from galen.orders.v1 import catalog_service_pb2, order_service_pb2, payment_service_pb2, prescription_service_pb2
from google.protobuf import any_pb2
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2

from shared.grpc.contract import MethodContract, read_contracts
from shared.testing.identities import Metadata

FILES: Sequence[FileDescriptor] = (
    accrual_service_pb2.DESCRIPTOR,
    auth_service_pb2.DESCRIPTOR,
    balance_service_pb2.DESCRIPTOR,
    customer_service_pb2.DESCRIPTOR,
    # In this order what the sensible requests of one make is there for those of the next.
    catalog_service_pb2.DESCRIPTOR,
    prescription_service_pb2.DESCRIPTOR,
    inventory_service_pb2.DESCRIPTOR,
    order_service_pb2.DESCRIPTOR,
    payment_service_pb2.DESCRIPTOR,
)
# Packages that another service's process serves.
SERVED_BY = {"inventory": "orders"}
CALL_LIMIT_S = 10.0
DETAILS = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended. `violations` counts those of a BadRequest; a streamed message that was refused by itself has only a `reason`."""

    code: grpc.StatusCode
    message: str = ""
    domain: str = ""
    reason: str = ""
    violations: int = 0


@dataclass(frozen=True, slots=True)
class Method:
    """A method and what the contract says of it."""

    contract: MethodContract
    response_type: type[Message]
    streams: bool

    @property
    def path(self) -> str:
        return self.contract.path

    @property
    def server(self) -> str:
        """The process that serves it: `balance` for /galen.balance.v1.BalanceService/GetAccount."""
        return SERVED_BY.get(self.package, self.package)

    @property
    def package(self) -> str:
        return self.path.split(".")[1]

    @property
    def domains(self) -> set[str]:
        """Whose reasons its refusals may have: those of all packages that its process serves."""
        return {f"{package}.galen" for package in (self.server, self.package)}

    def naming(self, owner: str) -> Message:
        """Returns a request about resources of `owner`, of a method whose contract binds customers to their own."""
        assert self.contract.ownership is not None
        request = self.contract.request_type()
        for field in self.contract.ownership.fields:
            *parents, name = field.split(".")
            holder = request
            for parent in parents:
                holder = getattr(holder, parent)
            setattr(holder, name, f"{self.contract.ownership.collection}/{owner}")
        return request

    async def call(self, channel: grpc.aio.Channel, request: Message | None = None, token: str | None = None) -> Outcome:
        """Calls it, with the empty message unless another is given; of a stream only the first answer is awaited."""
        request = request or self.contract.request_type()
        metadata = (("authorization", f"Bearer {token}"),) if token else ()
        try:
            answer = await self._first_answer(channel, request, metadata)
        except grpc.aio.AioRpcError as error:
            return _refused(error)
        return Outcome(grpc.StatusCode.OK, reason=getattr(answer, "reason", "") if self.contract.receives_stream else "")

    async def _first_answer(self, channel: grpc.aio.Channel, request: Message, metadata: Metadata) -> Message | None:
        read = self.response_type.FromString
        if self.streams:
            # On the wire one message is a stream of one message.
            stream = channel.unary_stream(self.path, _serialized, read)(request, metadata=metadata, timeout=CALL_LIMIT_S)
            answer = await stream.read()
            stream.cancel()
            return answer if isinstance(answer, Message) else None
        return await channel.unary_unary(self.path, _serialized, read)(request, metadata=metadata, timeout=CALL_LIMIT_S)


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()


def methods() -> list[Method]:
    """All methods of all contracts."""
    services = [service for file in FILES for service in file.services_by_name.values()]
    contracts = read_contracts(services)
    return [
        Method(contracts[_path(method)], GetMessageClass(method.output_type), method.server_streaming)
        for service in services
        for method in service.methods
    ]


def _path(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def _refused(error: grpc.aio.AioRpcError) -> Outcome:
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in _details(error.trailing_metadata() or ()):
        detail.Unpack(info)
        detail.Unpack(request)
    return Outcome(error.code(), error.details() or "", info.domain, info.reason, len(request.field_violations))


def _details(metadata: Iterable[tuple[str, str | bytes]]) -> Sequence[any_pb2.Any]:
    packed = dict(metadata).get(DETAILS, b"")
    return list(status_pb2.Status.FromString(packed).details) if isinstance(packed, bytes) else []
