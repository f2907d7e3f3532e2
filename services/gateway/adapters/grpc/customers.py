"""The customers service."""

from __future__ import annotations

from datetime import UTC
from uuid import UUID

import grpc
from galen.customers.v1 import auth_service_pb2 as messages
from galen.customers.v1.auth_service_pb2_grpc import AuthServiceStub

from services.gateway.adapters.grpc.calls import Peer
from services.gateway.application.ports import Session

# For the limit on failed logins: customers sees the edge's address only.
CLIENT_ADDRESS = "x-forwarded-for"


class GrpcCustomers:
    def __init__(self, channel: grpc.aio.Channel, peer: Peer) -> None:
        self._auth = AuthServiceStub(channel)
        self._peer = peer

    async def register(self, login: str, password: str, request_id: UUID, client_address: str) -> Session:
        request = messages.RegisterRequest(login=login, password=password, request_id=str(request_id))
        return _session((await self._peer.call(self._auth.Register, request, {CLIENT_ADDRESS: client_address})).token)

    async def login(self, login: str, password: str, client_address: str) -> Session:
        request = messages.LoginRequest(login=login, password=password)
        return _session((await self._peer.call(self._auth.Login, request, {CLIENT_ADDRESS: client_address})).token)


def _session(token: messages.AccessToken) -> Session:
    return Session(token.value, token.expire_time.ToDatetime(UTC))
