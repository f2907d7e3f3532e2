"""Tokens: JWTs signed with EdDSA (RFC 8037), checked as RFC 8725 advises: fixed algorithm, type, issuer, audience and expiry."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from shared.auth.keyring import Keyring
from shared.auth.keys import SERVICES_ISSUER, PublicKey, SigningKey
from shared.auth.principal import Kind, Principal
from shared.errors import CredentialsInvalid

AUDIENCE = "galen"
TOKEN_TYPE = "at+jwt"  # noqa: S105  the media type of RFC 9068, not a secret


def mint(
    key: SigningKey, *, issuer: str, subject: str, roles: Collection[str] = (), lifetime: timedelta, now: datetime | None = None
) -> str:
    """Signs a token for a person (`subject` is a customer's id) or a service (`subject` is its name)."""
    issued = now or datetime.now(UTC)
    claims = {"iss": issuer, "aud": AUDIENCE, "sub": subject, "roles": sorted(roles), "iat": issued, "exp": issued + lifetime}
    return jwt.encode(claims, key.private, algorithm="EdDSA", headers={"kid": key.kid, "typ": TOKEN_TYPE})


class TokenVerifier:
    """Turns tokens into callers. A verified token is remembered until it expires: checking a signature costs more than most calls."""

    def __init__(self, keyring: Keyring, *, remembered_max: int = 50_000, time_s: Callable[[], float] = time.time) -> None:
        self._keyring = keyring
        self._remembered_max = remembered_max
        self._time_s = time_s
        self._remembered: OrderedDict[str, tuple[Principal, float]] = OrderedDict()

    def recall(self, token: str) -> Principal | None:
        """Returns the caller if the token was verified before and is still valid."""
        principal, expires_at = self._remembered.get(token, (None, 0.0))
        return principal if self._time_s() < expires_at else None

    async def verify(self, token: str) -> Principal:
        """Returns the caller. Raises CredentialsInvalid."""
        principal = self.recall(token)
        if principal is not None:
            return principal
        claims = self._claims(token, await self._key(token))
        principal = _principal(claims)
        self._remember(token, principal, float(claims["exp"]))
        return principal

    async def _key(self, token: str) -> PublicKey:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.InvalidTokenError, UnicodeError) as error:
            raise CredentialsInvalid("the token is malformed") from error
        kid = header.get("kid")
        key = await self._keyring.find(kid) if isinstance(kid, str) and header.get("typ") == TOKEN_TYPE else None
        if key is None:
            raise CredentialsInvalid("the token is signed by an unknown key")
        return key

    def _claims(self, token: str, key: PublicKey) -> dict[str, Any]:
        required = ["exp", "iat", "sub", "iss", "aud"]
        try:
            return jwt.decode(
                token, key.public, algorithms=["EdDSA"], audience=AUDIENCE, issuer=key.issuer, options={"require": required}, leeway=1
            )
        except jwt.ExpiredSignatureError as error:
            raise CredentialsInvalid("the token has expired") from error
        except jwt.InvalidTokenError as error:
            raise CredentialsInvalid("the token is not valid") from error

    def _remember(self, token: str, principal: Principal, expires_at: float) -> None:
        self._remembered[token] = (principal, expires_at)
        if len(self._remembered) > self._remembered_max:
            self._remembered.popitem(last=False)


def _principal(claims: dict[str, Any]) -> Principal:
    if claims["iss"] == SERVICES_ISSUER:
        return Principal(Kind.SERVICE, claims["sub"])
    roles = claims.get("roles")
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise CredentialsInvalid("the token is not valid")
    return Principal(Kind.PERSON, claims["sub"], frozenset(roles))
