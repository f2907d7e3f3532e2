"""The id under which a write may be sent again."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4, uuid5

from services.gateway.domain.errors import InvalidHeader

IDEMPOTENCY_KEY = "Idempotency-Key"
LENGTH_MAX = 255
_NAMESPACE = UUID("6f1ba6a4-6a0c-5d57-9c3e-0b7f2c1d8e54")


def request_id(keys: Sequence[str], scope: str) -> UUID:
    """Returns the UUID in the request's `Idempotency-Key`, one derived from any other text there and the scope, or a new one.

    Raises InvalidHeader.
    """
    if not keys:
        return uuid4()
    # The draft of the header's standard has it in quotes.
    key = keys[0].strip().removeprefix('"').removesuffix('"')
    if len(keys) > 1 or not 0 < len(key) <= LENGTH_MAX or not (key.isascii() and key.isprintable()):
        raise InvalidHeader(f"{IDEMPOTENCY_KEY} must be one text of 1 to {LENGTH_MAX} printable ASCII characters, best a UUID")
    return _uuid(key) or uuid5(_NAMESPACE, f"{scope}\n{key}")


def _uuid(text: str) -> UUID | None:
    """Returns a UUID written the usual way; what else Python would take for one is just text."""
    try:
        value = UUID(text)
    except ValueError:
        return None
    return value if str(value) == text.lower() else None
