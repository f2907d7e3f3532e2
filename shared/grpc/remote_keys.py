"""The customers service as a source of public keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import grpc
from galen.customers.v1 import auth_service_pb2, auth_service_pb2_grpc

from shared.auth.keys import PEOPLE_ISSUER, PublicKey, parse_jwk

FETCH_LIMIT_S = 2.0


class RemoteKeys:
    """Keys by AuthService.GetJwks. Whatever the answer says, they speak for people only, never for services.

    Keys are asked for rarely, so each time gets a channel of its own: one that was made before the loop runs belongs to another loop.
    """

    def __init__(self, open_channel: Callable[[], grpc.aio.Channel]) -> None:
        self._open_channel = open_channel

    async def fetch(self) -> Sequence[PublicKey]:
        async with self._open_channel() as channel:
            auth = auth_service_pb2_grpc.AuthServiceStub(channel)
            response = await auth.GetJwks(auth_service_pb2.GetJwksRequest(), timeout=FETCH_LIMIT_S)
        return [parse_jwk({"kty": key.kty, "crv": key.crv, "x": key.x, "kid": key.kid}, PEOPLE_ISSUER) for key in response.keys]
