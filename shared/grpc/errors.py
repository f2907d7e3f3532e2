"""The one table that turns reasons into statuses, and back.

The table itself stands in the contracts: each value of an `ErrorReason` enum says its gRPC code, HTTP status and retry rule.
On the way out a GalenError becomes a `google.rpc.Status` with ErrorInfo (and BadRequest, PreconditionFailure, RetryInfo); on a client's
side it becomes a PeerError with the same reason, domain and metadata. What is lost on the way: the Python class, and everything beyond
20 violations or 4 KiB, because larger details replace the status itself by RESOURCE_EXHAUSTED.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import grpc
from galen.errors.v1 import error_reason_pb2
from galen.options.v1 import error_pb2
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from shared.errors import FieldViolation, GalenError, PreconditionViolation

PREFIX = "ERROR_REASON_"
VIOLATIONS_MAX = 20
TEXT_BYTES_MAX = 200
VIOLATIONS_BYTES_MAX = 2_500
PLATFORM_REASONS = error_reason_pb2.DESCRIPTOR.enum_types_by_name["ErrorReason"]


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """What the contract says of a reason. `code` is a `google.rpc.Code`."""

    code: int
    http_status: int
    retry: int


class ErrorCatalogue:
    """The rules of all reasons that a process can meet, by domain and reason."""

    def __init__(self, enums: Iterable[EnumDescriptor]) -> None:
        self._rules = {key: rule for enum in (PLATFORM_REASONS, *enums) for key, rule in _rules(enum)}

    def rule(self, domain: str, reason: str) -> ErrorRule | None:
        return self._rules.get((domain, reason))

    def status(self, error: GalenError) -> status_pb2.Status:
        """Returns the status that a caller gets. Raises KeyError if no contract knows the reason."""
        rule = self._rules[error.domain, error.reason]
        return status_pb2.Status(
            code=rule.code, message=_clipped(error.message), details=[_packed(detail) for detail in _details(error, rule)]
        )


def error_domain(enum: EnumDescriptor) -> str:
    """Returns `balance.galen` for the enum of galen.balance.v1, `galen` for the platform's."""
    service = enum.full_name.split(".")[1]
    return "galen" if service == "errors" else f"{service}.galen"


def _rules(enum: EnumDescriptor) -> Iterable[tuple[tuple[str, str], ErrorRule]]:
    for value in enum.values:
        policy = value.GetOptions().Extensions[error_pb2.error]
        if value.number:
            yield (error_domain(enum), value.name.removeprefix(PREFIX)), ErrorRule(policy.code, policy.http_status, policy.retry)


def _details(error: GalenError, rule: ErrorRule) -> Iterable[Message]:
    metadata = {key: _clipped(value) for key, value in error.metadata.items()}
    yield error_details_pb2.ErrorInfo(reason=error.reason, domain=error.domain, metadata=metadata)
    if error.violations:
        yield _bad_request(error.violations)
    if rule.code == code_pb2.FAILED_PRECONDITION:
        yield _precondition_failure(error)
    if error.retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(max(1, round(error.retry_after_s * 1000)))
        yield error_details_pb2.RetryInfo(retry_delay=delay)


def _bad_request(violations: Iterable[FieldViolation]) -> error_details_pb2.BadRequest:
    """Lists as many violations as fit; those beyond will show when these are mended."""
    request = error_details_pb2.BadRequest()
    for violation in violations:
        request.field_violations.add(field=_clipped(violation.field), description=_clipped(violation.description))
        if len(request.field_violations) == VIOLATIONS_MAX or request.ByteSize() > VIOLATIONS_BYTES_MAX:
            break
    return request


def _precondition_failure(error: GalenError) -> error_details_pb2.PreconditionFailure:
    """Lists what the error names, as much as fits; the error itself if it names nothing."""
    failure = error_details_pb2.PreconditionFailure()
    for violation in error.preconditions or (PreconditionViolation(error.domain, error.message),):
        failure.violations.add(type=error.reason, subject=_clipped(violation.subject), description=_clipped(violation.description))
        if len(failure.violations) == VIOLATIONS_MAX or failure.ByteSize() > VIOLATIONS_BYTES_MAX:
            break
    return failure


def _clipped(text: str) -> str:
    return text.encode(errors="replace")[:TEXT_BYTES_MAX].decode(errors="ignore")


def _packed(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed


class PeerError(GalenError):
    """A peer's refusal or failure, with the peer's own domain, reason and metadata. `code` is what the call ended with.

    Without ErrorInfo (the peer is away, or is not one of ours) the reason is the platform's for that code, UNAVAILABLE if there is none.
    """

    def __init__(
        self, code: grpc.StatusCode, message: str, domain: str, reason: str, metadata: Mapping[str, str], retry_after_s: float | None
    ):
        super().__init__(message, metadata=metadata, retry_after_s=retry_after_s)
        self.code = code
        # A peer's error is of whatever domain and reason the peer said.
        vars(self).update(domain=domain, reason=reason)


_BARE_REASONS = {grpc.StatusCode.DEADLINE_EXCEEDED: "DEADLINE_EXCEEDED", grpc.StatusCode.RESOURCE_EXHAUSTED: "OVERLOADED"}


def peer_error(error: grpc.aio.AioRpcError) -> PeerError:
    """Reads a failed call."""
    info, delay = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for detail in _details_of(error):
        detail.Unpack(info)
        detail.Unpack(delay)
    code = error.code()
    retry_after_s = delay.retry_delay.ToMilliseconds() / 1000 if delay.HasField("retry_delay") else None
    if info.reason:
        return PeerError(code, error.details() or "", info.domain, info.reason, info.metadata, retry_after_s)
    return PeerError(code, "a peer does not answer", "galen", _BARE_REASONS.get(code, "UNAVAILABLE"), {}, retry_after_s or 1.0)


def _details_of(error: grpc.aio.AioRpcError) -> Iterable[any_pb2.Any]:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            try:
                return list(status_pb2.Status.FromString(value).details)
            except DecodeError:
                return ()
    return ()


def to_grpc_status(status: status_pb2.Status) -> grpc.Status:
    return rpc_status.to_status(status)  # type: ignore[no-any-return]
