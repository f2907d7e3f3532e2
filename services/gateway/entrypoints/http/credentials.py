"""How a token comes to the edge and leaves it: in the `Authorization` header, with or without `Bearer`, or in a cookie."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from aiohttp import web

from services.gateway.application.ports import Caller, Session
from shared.auth.principal import Kind
from shared.auth.tokens import TokenVerifier
from shared.errors import AccessDenied, CredentialsInvalid, CredentialsMissing
from shared.grpc.call import current_principal

COOKIE = "galen_token"
TOKEN_CHARACTERS_MAX = 4096


class Authenticator:
    """Finds out who calls. Tokens of services are for gRPC: the edge serves people."""

    def __init__(self, verifier: TokenVerifier) -> None:
        self._verifier = verifier

    async def caller(self, request: web.Request) -> Caller:
        """Raises CredentialsMissing, CredentialsInvalid, AccessDenied."""
        token = token_in(request.headers.get("Authorization", ""), request.cookies)
        if token is None:
            raise CredentialsMissing("log in first, then send the token: `Authorization: Bearer ...`, or the cookie")
        if len(token) > TOKEN_CHARACTERS_MAX or not token.isascii():
            raise CredentialsInvalid("the token is malformed")
        principal = self._verifier.recall(token) or await self._verifier.verify(token)
        current_principal.set(principal)
        if principal.kind is not Kind.PERSON:
            raise AccessDenied("this edge is for people, not for services")
        return Caller(principal.id, token)


def grant(response: web.Response, session: Session) -> web.Response:
    """Hands out both credentials. The cookie is not `Secure`: the edge speaks plain HTTP, and a proxy with TLS adds it."""
    response.headers["Authorization"] = f"Bearer {session.token}"
    left_s = max(0, int((session.expires_at - datetime.now(UTC)).total_seconds()))
    response.set_cookie(COOKIE, session.token, path="/", max_age=left_s, httponly=True, samesite="Strict")
    return response


def token_in(authorization: str, cookies: Mapping[str, str]) -> str | None:
    """Returns the header's token; the cookie's only if there is no header."""
    header = authorization.strip()
    if not header:
        return cookies.get(COOKIE) or None
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip() or None
    return header
