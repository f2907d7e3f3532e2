"""What is known of the call being served: its caller and its deadline, wherever the code needs them."""

from __future__ import annotations

import hashlib
import time
from contextvars import ContextVar
from uuid import UUID

from google.protobuf.message import Message

from shared.auth.principal import ANONYMOUS, Principal
from shared.errors import DeadlineExceeded
from shared.grpc.contract import redacted_fields
from shared.requests import RequestKey

# Kept back for our own work when a deadline is passed on to a peer.
DEADLINE_MARGIN_S = 0.05

current_principal: ContextVar[Principal] = ContextVar("current_principal", default=ANONYMOUS)
current_deadline: ContextVar[float | None] = ContextVar("current_deadline", default=None)


def remaining_s(own_limit_s: float) -> float:
    """Returns the seconds that an outgoing call may take: `own_limit_s`, or what the incoming deadline leaves if that is less.

    Raises DeadlineExceeded if nothing is left.
    """
    deadline = current_deadline.get()
    if deadline is None:
        return own_limit_s
    left = deadline - time.monotonic() - DEADLINE_MARGIN_S
    if left <= 0:
        raise DeadlineExceeded
    return min(own_limit_s, left)


def request_key(request: Message) -> RequestKey:
    """Returns the identity of a write: the caller, its `request_id` and the fingerprint of the content."""
    request_id: str = request.request_id  # type: ignore[attr-defined]
    return RequestKey(current_principal.get().actor, UUID(request_id), fingerprint(request))


def fingerprint(request: Message) -> bytes:
    """Returns the SHA-256 of a request's type and content, without its `request_id` and without redacted fields."""
    content: Message = type(request)()
    content.CopyFrom(request)
    for name in ("request_id", *redacted_fields(request.DESCRIPTOR)):
        content.ClearField(name)
    return hashlib.sha256(content.DESCRIPTOR.full_name.encode() + content.SerializeToString(deterministic=True)).digest()
