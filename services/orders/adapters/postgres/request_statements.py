"""What RequestLog does for a transaction of SQLAlchemy, as statements that go together with others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.errors import RequestIdReused
from shared.postgres.round_trips import Rows, Statement
from shared.requests import RequestKey

_CLAIM = """
insert into request_log (actor, request_id, fingerprint) values (%s, %s::uuid, %s::bytea) on conflict do nothing returning request_id
"""
_REMEMBER = "update request_log set reply = %s::jsonb where actor = %s and request_id = %s::uuid"
_ANSWER = "insert into request_log (actor, request_id, fingerprint, reply) values (%s, %s::uuid, %s::bytea, %s::jsonb)"
_FIND = "select fingerprint, reply from request_log where actor = %s and request_id = %s::uuid"


def claim(key: RequestKey) -> Statement:
    """Returns a row if the request is new and ours to do here, after waiting for any other of its key."""
    return _CLAIM, _values(key)


def remember(key: RequestKey, reply: str) -> Statement:
    """Stores the reply, as JSON, of a request that was claimed in this transaction."""
    return _REMEMBER, (reply, key.actor, str(key.request_id))


def answer(key: RequestKey, reply: str) -> Statement:
    """Does both. Fails if the request was begun before, once its transaction has ended."""
    return _ANSWER, (*_values(key), reply)


def find(key: RequestKey) -> Statement:
    """Asks for what `reply_of` reads."""
    return _FIND, (key.actor, str(key.request_id))


def reply_of(found: Rows, key: RequestKey) -> Mapping[str, Any] | None:
    """Returns what is stored as the reply of a request; None promises nothing. Raises RequestIdReused."""
    if not found:
        return None
    fingerprint, reply = found[0]
    if fingerprint != key.fingerprint:
        raise RequestIdReused
    known: Mapping[str, Any] = reply
    return known


def _values(key: RequestKey) -> tuple[str, str, str]:
    return key.actor, str(key.request_id), f"\\x{key.fingerprint.hex()}"
