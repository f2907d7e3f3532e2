"""Signs the heads of hash chains with Ed25519."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from services.balance.domain.chain import Head, SignedHead
from shared.auth.keys import key_id

_BLOCK = re.compile(rb"-----BEGIN PRIVATE KEY-----.+?-----END PRIVATE KEY-----\s*", re.DOTALL)


class Ed25519Seal:
    """The first key signs; the others are known still, from before the key was changed."""

    def __init__(self, keys: Sequence[Ed25519PrivateKey]) -> None:
        self._key = keys[0]
        self._key_id = key_id(keys[0].public_key())
        self._known = {key_id(key.public_key()): key.public_key() for key in keys}

    @classmethod
    def from_file(cls, path: Path | None) -> Ed25519Seal | None:
        """Reads PEM blocks of Ed25519 private keys; None without a file. Raises OSError or ValueError."""
        if path is None:
            return None
        keys = [load_pem_private_key(block, password=None) for block in _BLOCK.findall(path.read_bytes())]
        signing = [key for key in keys if isinstance(key, Ed25519PrivateKey)]
        if not signing or len(signing) != len(keys):
            raise ValueError(f"{path.name} must hold Ed25519 keys and nothing else")
        return cls(signing)

    def sign(self, head: Head) -> SignedHead:
        return SignedHead(head, self._key_id, self._key.sign(head.message()))

    def is_genuine(self, head: SignedHead) -> bool:
        key = self._known.get(head.key_id)
        if key is None:
            return False
        try:
            key.verify(head.signature, head.head.message())
        except InvalidSignature:
            return False
        return True
