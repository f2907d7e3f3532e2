"""Page tokens: where the next page begins, signed and bound to the list and filter they were made for (AIP-158).

The token of a stream, by which it is resumed, is one too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from shared.errors import InvalidPageToken

PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 1000
_MAC_BYTES = 16
_TOKEN_FIELDS = ("page_token", "resume_token")
_NOT_OF_THE_FILTER = (*_TOKEN_FIELDS, "page_size")


class PageTokens:
    """Seals and opens tokens with one key, which all replicas share."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def from_file(cls, path: Path) -> PageTokens:
        """Reads the key, hex. Raises OSError or ValueError."""
        return cls(bytes.fromhex(path.read_text().strip()))

    def seal(self, request: Message, position: list[Any]) -> str:
        """Returns the token of what follows `position` in the list or stream that `request` asks for."""
        payload = json.dumps(position, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._mac(request, payload) + payload).decode().rstrip("=")

    def open(self, request: Message) -> list[Any] | None:
        """Returns the position in the request's `page_token` or `resume_token`, None if it is empty. Raises InvalidPageToken."""
        token: str = getattr(request, next(name for name in _TOKEN_FIELDS if name in request.DESCRIPTOR.fields_by_name))
        if not token:
            return None
        try:
            sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (binascii.Error, ValueError) as error:
            raise InvalidPageToken from error
        mac, payload = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(request, payload)):
            raise InvalidPageToken
        position: list[Any] = json.loads(payload)
        return position

    def _mac(self, request: Message, payload: bytes) -> bytes:
        filter_only = type(request)()
        filter_only.CopyFrom(request)
        for name in _NOT_OF_THE_FILTER:
            if name in request.DESCRIPTOR.fields_by_name:
                filter_only.ClearField(name)
        bound = request.DESCRIPTOR.full_name.encode() + b"\0" + filter_only.SerializeToString(deterministic=True) + b"\0" + payload
        return hmac.digest(self._key, bound, hashlib.sha256)[:_MAC_BYTES]


def page_size(asked: int) -> int:
    """Returns how many rows a page has: 0 means 50, more than 1000 means 1000."""
    return min(asked or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)
