"""The customers service as a source of public keys."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from galen.customers.v1 import auth_service_pb2, auth_service_pb2_grpc

from shared.auth.keys import PEOPLE_ISSUER, PublicKey, parse_jwk

FETCH_LIMIT_S = 2.0


class RemoteKeys:
    """Keys by AuthService.GetJwks. Whatever the answer says, they speak for people only, never for services."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._auth = auth_service_pb2_grpc.AuthServiceStub(channel)

    async def fetch(self) -> Sequence[PublicKey]:
        response = await self._auth.GetJwks(auth_service_pb2.GetJwksRequest(), timeout=FETCH_LIMIT_S)
        return [parse_jwk({"kty": key.kty, "crv": key.crv, "x": key.x, "kid": key.kid}, PEOPLE_ISSUER) for key in response.keys]
