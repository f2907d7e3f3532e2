"""Who asks, and under which id: what makes a write repeatable."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class RequestKey:
    """The identity of one attempt to write.

    `actor` is `customers/{id}` or `services/{name}`. `fingerprint` is the SHA-256 of the request without its id and without redacted
    fields: the same id with another fingerprint is a mistake of the caller, never a repeat.
    """

    actor: str
    request_id: UUID
    fingerprint: bytes
