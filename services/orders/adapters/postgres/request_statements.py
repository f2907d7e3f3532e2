"""What RequestLog does for a transaction of SQLAlchemy, as statements that go together with others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.orders.adapters.postgres.order_round_trips import Send
from shared.errors import RequestIdReused
from shared.postgres.round_trips import Rows, Statement, array
from shared.requests import RequestKey

_CLAIM = """
insert into request_log (actor, request_id, fingerprint) values (%s, %s::uuid, %s::bytea) on conflict do nothing returning request_id
"""
_REMEMBER = "update request_log set reply = %s::jsonb where actor = %s and request_id = %s::uuid"
_ANSWER = "insert into request_log (actor, request_id, fingerprint, reply) values (%s, %s::uuid, %s::bytea, %s::jsonb)"
_FIND = "select fingerprint, reply from request_log where actor = %s and request_id = %s::uuid"
_FIND_MANY = """
select place::int - 1, fingerprint, reply
from unnest(%s::text[], %s::uuid[]) with ordinality as asked (actor, request_id, place)
cross join lateral (
    select fingerprint, reply from request_log
    where request_log.actor = asked.actor and request_log.request_id = asked.request_id offset 0
) as known
"""


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


def find_many(keys: Sequence[RequestKey]) -> Statement:
    """Asks for what `found_by_place` tells apart."""
    return _FIND_MANY, (array(key.actor for key in keys), array(str(key.request_id) for key in keys))


def found_by_place(found: Rows) -> Mapping[int, Rows]:
    """Returns what `reply_of` reads, by the places of those requests that have an answer."""
    return {place: [(fingerprint, reply)] for place, fingerprint, reply in found}


async def find_reply(send: Send, key: RequestKey) -> Mapping[str, Any] | None:
    """Returns what is stored as the answer of a request; None promises nothing. Raises RequestIdReused."""
    (found,) = await send([find(key)])
    return reply_of(found, key)


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
