"""Ed25519 keys of tokens: private ones in files, public ones as JWKS (RFC 7517, RFC 8037)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key

PEOPLE_ISSUER = "https://customers.galen"
SERVICES_ISSUER = "https://services.galen"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and the id that its tokens name."""

    kid: str
    private: Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key, and the only issuer that it may speak for."""

    kid: str
    issuer: str
    public: Ed25519PublicKey


def generate_key() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


def private_pem(key: Ed25519PrivateKey) -> bytes:
    """Returns the key as unencrypted PKCS 8."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def load_signing_key(path: Path) -> SigningKey:
    """Reads a private key. Raises ValueError if the file does not hold an Ed25519 key, OSError if it can't be read."""
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path.name} does not hold an Ed25519 key")
    return SigningKey(key_id(key.public_key()), key)


def key_id(key: Ed25519PublicKey) -> str:
    """Returns the key's JWK thumbprint (RFC 7638)."""
    members = json.dumps({"crv": "Ed25519", "kty": "OKP", "x": _x(key)}, separators=(",", ":"), sort_keys=True)
    return _base64url(hashlib.sha256(members.encode()).digest())


def jwk_of(key: Ed25519PublicKey, issuer: str) -> dict[str, str]:
    """Returns the key as a JWK, with the member `issuer` besides: the only issuer whose tokens it may prove."""
    return {"kty": "OKP", "crv": "Ed25519", "x": _x(key), "kid": key_id(key), "alg": "EdDSA", "use": "sig", "issuer": issuer}


def parse_jwk(jwk: Mapping[str, Any], issuer: str) -> PublicKey:
    """Reads a JWK of an Ed25519 public key. Raises ValueError."""
    if jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519":
        raise ValueError("not an Ed25519 key")
    x = str(jwk["x"])
    raw = base64.urlsafe_b64decode(x + "=" * (-len(x) % 4))
    return PublicKey(str(jwk["kid"]), issuer, Ed25519PublicKey.from_public_bytes(raw))


def _x(key: Ed25519PublicKey) -> str:
    return _base64url(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
