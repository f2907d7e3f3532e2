"""Tokens of people: signed here, and the public keys that prove them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from services.customers.application.ports import Token
from shared.auth.keys import PEOPLE_ISSUER, PublicKey, SigningKey, jwk_of, parse_jwk
from shared.auth.tokens import mint
from shared.clock import Clock


class SignedTokens:
    def __init__(self, key: SigningKey, lifetime: timedelta, clock: Clock) -> None:
        self._key = key
        self._lifetime = lifetime
        self._clock = clock

    def issue(self, customer_id: UUID, roles: Collection[str]) -> Token:
        now = self._clock.now().replace(microsecond=0)  # a token counts whole seconds
        value = mint(self._key, issuer=PEOPLE_ISSUER, subject=str(customer_id), roles=roles, lifetime=self._lifetime, now=now)
        return Token(value, now + self._lifetime)


class PublishedKeys:
    """The public keys that prove tokens of people: today's, and those of before whose tokens may still be valid."""

    def __init__(self, key: SigningKey, previous_jwks_file: Path | None) -> None:
        today = PublicKey(key.kid, PEOPLE_ISSUER, key.private.public_key())
        before = _read(previous_jwks_file) if previous_jwks_file else []
        self._keys = {public.kid: public for public in (*before, today)}

    async def fetch(self) -> Sequence[PublicKey]:
        """As a source of keys for checking tokens."""
        return list(self._keys.values())

    def jwks(self) -> Sequence[Mapping[str, str]]:
        """Returns the keys as JWKs."""
        return [jwk_of(key.public, PEOPLE_ISSUER) for key in self._keys.values()]


def _read(path: Path) -> list[PublicKey]:
    """Reads the keys of people from a JWKS. Raises OSError, ValueError, KeyError."""
    jwks = json.loads(path.read_text())["keys"]
    return [parse_jwk(jwk, PEOPLE_ISSUER) for jwk in jwks if jwk.get("issuer", PEOPLE_ISSUER) == PEOPLE_ISSUER]
