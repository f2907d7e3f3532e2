"""What must hold for every contract, walked from the descriptors, so that a new RPC can't be forgotten."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import galen
import pytest
from buf.validate import validate_pb2
from galen.options.v1 import error_pb2
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, FileDescriptor, MethodDescriptor, ServiceDescriptor
from google.rpc import code_pb2

from shared.errors import GalenError
from shared.grpc.contract import read_contracts
from shared.grpc.errors import error_domain


def files() -> Iterator[FileDescriptor]:
    for module in pkgutil.walk_packages(galen.__path__, "galen."):
        if module.name.endswith("_pb2"):
            yield importlib.import_module(module.name).DESCRIPTOR


SERVICES_FOLDER = Path(__file__).parents[2] / "services"
FILES = list(files())
SERVICES: list[ServiceDescriptor] = [service for file in FILES for service in file.services_by_name.values()]
METHODS: list[MethodDescriptor] = [method for service in SERVICES for method in service.methods]
REASONS: list[EnumDescriptor] = [file.enum_types_by_name["ErrorReason"] for file in FILES if "ErrorReason" in file.enum_types_by_name]


def fields_of(message: Descriptor, seen: frozenset[str] = frozenset()) -> Iterator[FieldDescriptor]:
    """Every field of a request, those of our own messages inside it included."""
    for field in message.fields:
        yield field
        inner = field.message_type
        if inner is not None and inner.full_name.startswith("galen.") and inner.full_name not in seen:
            yield from fields_of(inner, seen | {message.full_name})


def test_every_method_of_every_service_has_a_policy() -> None:
    assert len(read_contracts(SERVICES)) == len(METHODS) > 20


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_a_method_has_its_own_request_an_http_form_and_says_whether_it_writes(method: MethodDescriptor) -> None:
    options = method.GetOptions()
    contract = read_contracts([method.containing_service])[f"/{method.containing_service.full_name}/{method.name}"]

    assert method.input_type.name == f"{method.name}Request"
    assert method.output_type.name == f"{method.name}Response"
    assert options.HasExtension(annotations_pb2.http)
    reads = options.idempotency_level == descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
    assert not (reads and contract.writes)


RULED_BY_BEING_IGNORED = {"create_time", "update_time"}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
def test_every_field_that_a_caller_can_send_has_a_rule(method: MethodDescriptor) -> None:
    for field in fields_of(method.input_type):
        free = field.type in (FieldDescriptor.TYPE_BOOL, FieldDescriptor.TYPE_MESSAGE) or field.name in RULED_BY_BEING_IGNORED
        assert free or field.GetOptions().HasExtension(validate_pb2.field), f"{field.full_name} has no rule"


@pytest.mark.parametrize("enum", REASONS, ids=error_domain)
def test_every_reason_says_its_code_status_and_retry(enum: EnumDescriptor) -> None:
    for value in enum.values:
        policy = value.GetOptions().Extensions[error_pb2.error]
        if value.number:
            assert policy.code != code_pb2.OK
            assert 400 <= policy.http_status <= 504
            assert policy.retry != error_pb2.RETRY_UNSPECIFIED


def subclasses(kind: type[GalenError]) -> Iterator[type[GalenError]]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


def test_every_reason_has_one_class_and_every_class_a_reason() -> None:
    for path in SERVICES_FOLDER.glob("*/domain/**/errors.py"):
        importlib.import_module(".".join(path.relative_to(SERVICES_FOLDER.parent).with_suffix("").parts))
    raised = [(kind.domain, kind.reason) for kind in subclasses(GalenError) if "reason" in vars(kind)]
    declared = {(error_domain(enum), value.name.removeprefix("ERROR_REASON_")) for enum in REASONS for value in enum.values if value.number}

    assert len(raised) == len(set(raised))
    assert set(raised) == declared
