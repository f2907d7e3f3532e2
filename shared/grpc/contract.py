"""Reads what the contracts say of a method: who may call it, whether it writes, whose resource it is about.

The `.proto` files are the only place where this stands; a service whose methods are not all covered does not start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, reduce

from galen.options.v1 import policy_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

# The only methods that need no policy: they serve operators and load balancers, and tell nothing of any customer.
EXEMPT_PREFIXES = ("/grpc.health.v1.", "/grpc.reflection.", "/grpc.channelz.")


class ContractError(Exception):
    """A contract is incomplete or contradicts itself. Raised at start-up, never while serving."""


@dataclass(frozen=True, slots=True)
class OwnershipRule:
    """Finds the customers whose resources a request names."""

    fields: tuple[str, ...]
    collection: str

    def owners(self, request: Message) -> set[str]:
        """Returns the ids after `collection` in the fields that are set; an id is empty where a field does not hold such a name."""
        names = (str(reduce(getattr, field.split("."), request)) for field in self.fields)
        return {self._owner(name) for name in names if name}

    def _owner(self, name: str) -> str:
        _, *segments = f"/{name}".split("/")
        # Names go collection, id, collection, id: an id may be called like a collection.
        owned = dict(zip(segments[::2], segments[1::2], strict=False))
        return owned.get(self.collection, "")


@dataclass(frozen=True, slots=True)
class MethodContract:
    """What the contract says of one method. `path` is `/package.Service/Method`."""

    path: str
    request_type: type[Message]
    public: bool
    roles: frozenset[str]
    services: frozenset[str]
    writes: bool
    ownership: OwnershipRule | None
    receives_stream: bool = False


def read_contracts(services: Iterable[ServiceDescriptor]) -> Mapping[str, MethodContract]:
    """Returns the contract of every method of `services` by its path. Raises ContractError."""
    contracts = (_read(service, method) for service in services for method in service.methods)
    return {contract.path: contract for contract in contracts}


def _read(service: ServiceDescriptor, method: MethodDescriptor) -> MethodContract:
    policy = method.GetOptions().Extensions[policy_pb2.policy]
    contract = MethodContract(
        path=f"/{service.full_name}/{method.name}",
        request_type=GetMessageClass(method.input_type),
        public=policy.public,
        roles=frozenset(role_name(role) for role in policy.roles),
        services=frozenset(policy.services),
        writes=policy.writes,
        ownership=OwnershipRule(tuple(policy.own.fields), policy.own.collection) if policy.HasField("own") else None,
        receives_stream=method.client_streaming,
    )
    for fault in _faults(contract, method.input_type):
        raise ContractError(f"{contract.path}: {fault}")
    return contract


def role_name(role: policy_pb2.Role.ValueType) -> str:
    """Returns a role as it stands in tokens: ROLE_CUSTOMER is `customer`."""
    return policy_pb2.Role.Name(role).removeprefix("ROLE_").lower()


def _faults(contract: MethodContract, request: Descriptor) -> Iterable[str]:
    callers = bool(contract.roles or contract.services)
    if contract.public == callers:
        yield "needs a policy: either public, or roles or services"
    if contract.writes and "request_id" not in request.fields_by_name:
        yield "writes, so its request needs a request_id"
    if contract.receives_stream and contract.ownership:
        yield "receives a stream, whose owner is not looked for"
    if contract.ownership and (not contract.ownership.fields or not contract.ownership.collection):
        yield "its ownership rule names no field or no collection"
    for field in contract.ownership.fields if contract.ownership else ():
        if not _is_text_field(request, field):
            yield f"its ownership rule names {field!r}, which is not a string field of the request"


def _is_text_field(message: Descriptor | None, path: str) -> bool:
    head, _, rest = path.partition(".")
    field = message.fields_by_name.get(head) if message else None
    if field is None:
        return False
    return _is_text_field(field.message_type, rest) if rest else field.type == FieldDescriptor.TYPE_STRING


@cache  # contracts have so many messages and no more
def redacted_fields(kind: Descriptor) -> tuple[str, ...]:
    """Returns the names of a message's own fields that are marked `debug_redact`."""
    return tuple(field.name for field in kind.fields if field.GetOptions().debug_redact)
