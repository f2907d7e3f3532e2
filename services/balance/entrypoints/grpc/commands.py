"""Requests as commands of the ledger."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict
from uuid import UUID

from galen.balance.v1 import balance_service_pb2 as messages
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from services.balance.domain.commands import Capture, Credit, Extend, Open, Release, Reserve, Reverse, SetMinBalance, Withdraw
from services.balance.domain.errors import VersionMismatch
from services.balance.domain.model import ShortfallPolicy
from services.balance.domain.names import AccountName, last_number
from shared.auth.principal import Kind, Principal
from shared.errors import FieldViolation, InvalidRequest
from shared.grpc.call import request_key
from shared.grpc.timestamps import moment


class _Identity(TypedDict):
    account: AccountName
    actor: str
    request_id: UUID
    fingerprint: bytes


def _identity(request: Message, name: str) -> _Identity:
    key = request_key(request)
    return {"account": AccountName.parse(name), "actor": key.actor, "request_id": key.request_id, "fingerprint": key.fingerprint}


def credit(request: messages.CreditPointsRequest) -> Credit:
    return Credit(
        **_identity(request, request.account),
        amount=request.amount,
        reference=request.reference,
        available_at=moment(request.available_time, "available_time") if request.HasField("available_time") else None,
        expires_at=moment(request.expire_time, "expire_time") if request.HasField("expire_time") else None,
    )


def opening(request: messages.OpeningBalance) -> Open:
    return Open(
        **_identity(request, request.account),
        amount=request.amount,
        reference=request.reference,
        expires_at=moment(request.expire_time, "expire_time") if request.HasField("expire_time") else None,
    )


def withdraw(request: messages.WithdrawPointsRequest) -> Withdraw:
    return Withdraw(**_identity(request, request.account), amount=request.amount, reference=request.order_number)


def reserve(request: messages.ReservePointsRequest, caller: Principal) -> Reserve:
    """Raises InvalidRequest if a person wants to hold points without end."""
    if caller.kind is not Kind.SERVICE and not request.HasField("ttl"):
        raise InvalidRequest("ttl: is required", violations=[FieldViolation("ttl", "only services may hold points without one")])
    ttl = _length(request.ttl) if request.HasField("ttl") else None
    return Reserve(**_identity(request, request.account), amount=request.amount, reference=request.reference, ttl=ttl)


def extend(request: messages.ExtendHoldRequest) -> Extend:
    ttl = _length(request.ttl) if request.HasField("ttl") else None
    return Extend(**_identity(request, request.hold), hold_id=last_number(request.hold), ttl=ttl)


def capture(request: messages.CapturePointsRequest) -> Capture:
    return Capture(
        **_identity(request, request.hold),
        hold_id=last_number(request.hold),
        amount=request.amount or None,
        keep_remainder=request.keep_remainder,
    )


def release(request: messages.ReleasePointsRequest) -> Release:
    return Release(**_identity(request, request.hold), hold_id=last_number(request.hold))


def reverse(request: messages.ReverseOperationRequest) -> Reverse:
    return Reverse(
        **_identity(request, request.operation),
        version=last_number(request.operation),
        amount=request.amount or None,
        policy=ShortfallPolicy(request.shortfall_policy),
    )


def _length(duration: Duration) -> timedelta:
    """Returns a positive Duration. Raises InvalidRequest if it is none: its nanoseconds may not take back what its seconds promise."""
    if not 0 <= duration.nanos < 1_000_000_000:
        raise InvalidRequest("ttl: is not a duration", violations=[FieldViolation("ttl", "is not a duration")])
    return duration.ToTimedelta()


def set_min_balance(request: messages.UpdateAccountRequest) -> SetMinBalance:
    """Raises VersionMismatch if the etag is none of ours."""
    etag = request.etag.strip('"')
    if etag and not (etag.isascii() and etag.isdigit() and len(etag) < 19):
        raise VersionMismatch
    return SetMinBalance(**_identity(request, request.name), min_balance=request.min_balance, expected_version=int(etag) if etag else None)
