"""The balance service, where points are credited."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
from galen.balance.v1 import balance_service_pb2
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from services.accrual.domain.claims import Claim
from shared.grpc.call import remaining_s
from shared.grpc.channel import Credentials, make_channel
from shared.grpc.errors import peer_error

if TYPE_CHECKING:
    from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceAsyncStub

CREDIT_LIMIT_S = 5.0


class BalancePoints:
    """Credits over gRPC, with this service's own identity."""

    def __init__(self, address: str, credentials: Credentials) -> None:
        self._address = address
        self._credentials = credentials
        self._balance: BalanceServiceAsyncStub | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[BalancePoints]:
        """Keeps a channel for the length of the block: a channel belongs to the loop that it is made in."""
        services = balance_service_pb2.DESCRIPTOR.services_by_name.values()
        async with make_channel(self._address, services, self._credentials) as channel:
            self._balance = BalanceServiceStub(channel)
            yield self

    async def credit(self, claim: Claim) -> str:
        """Raises PeerError."""
        assert self._balance is not None, "used outside of opened()"
        assert claim.accrual is not None
        request = balance_service_pb2.CreditPointsRequest(
            account=claim.account, amount=claim.accrual, reference=claim.number, request_id=str(claim.credit_request_id)
        )
        try:
            response = await self._balance.CreditPoints(request, timeout=remaining_s(CREDIT_LIMIT_S))
        except grpc.aio.AioRpcError as error:
            raise peer_error(error) from error
        return response.operation.name
