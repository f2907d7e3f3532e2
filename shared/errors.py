"""Errors with a reason: what every refusal of ours is, from the domain to the edge.

    GalenError                      domain `galen`: the reasons of galen.errors.v1.ErrorReason
    +-- InvalidRequest, MalformedMessage, InvalidPageToken, UnknownMethod
    +-- CredentialsMissing, CredentialsInvalid, AccessDenied
    +-- RequestIdReused
    +-- Overloaded, RateLimited
    +-- Unavailable, DeadlineExceeded, Internal
    +-- <Service>Error              domain `<service>.galen`, a subclass per reason, in the service's domain/errors.py

A class stands for one reason of an `ErrorReason` enum; its gRPC code, HTTP status and retry rule stand there, in the contract.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """What is wrong with one field: its path (`address.lines[0]`) and a sentence."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class PreconditionViolation:
    """What is not as it would have to be: a subject (a SKU) and a sentence."""

    subject: str
    description: str


class GalenError(Exception):
    """A refusal with a reason that callers can act on. Texts and metadata must be fit for strangers' eyes."""

    domain: ClassVar[str] = "galen"
    reason: ClassVar[str]

    def __init__(
        self,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
        preconditions: Sequence[PreconditionViolation] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.preconditions = tuple(preconditions)
        self.retry_after_s = retry_after_s


class InvalidRequest(GalenError):
    reason = "INVALID_REQUEST"


class MalformedMessage(GalenError):
    reason = "MALFORMED_MESSAGE"


class InvalidPageToken(GalenError):
    reason = "INVALID_PAGE_TOKEN"

    def __init__(self) -> None:
        super().__init__("the page token does not belong to this list")


class UnknownMethod(GalenError):
    reason = "UNKNOWN_METHOD"


class CredentialsMissing(GalenError):
    reason = "CREDENTIALS_MISSING"


class CredentialsInvalid(GalenError):
    reason = "CREDENTIALS_INVALID"


class AccessDenied(GalenError):
    reason = "ACCESS_DENIED"


class RequestIdReused(GalenError):
    reason = "REQUEST_ID_REUSED"

    def __init__(self) -> None:
        super().__init__("this request_id was used for a request with another content")


class Overloaded(GalenError):
    reason = "OVERLOADED"

    def __init__(self, retry_after_s: float = 0.5) -> None:
        super().__init__("too many calls in flight", retry_after_s=retry_after_s)


class RateLimited(GalenError):
    reason = "RATE_LIMITED"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("refused too often in a short time", retry_after_s=retry_after_s)


class Unavailable(GalenError):
    reason = "UNAVAILABLE"

    def __init__(self, message: str = "a dependency does not answer", *, retry_after_s: float = 1.0) -> None:
        super().__init__(message, retry_after_s=retry_after_s)


class DeadlineExceeded(GalenError):
    reason = "DEADLINE_EXCEEDED"

    def __init__(self) -> None:
        super().__init__("the deadline passed")


class Internal(GalenError):
    """An unexpected fault. The text is fixed: nothing of the cause leaves the process."""

    reason = "INTERNAL"

    def __init__(self, trace_id: str) -> None:
        super().__init__("internal error", metadata={"trace_id": trace_id})
