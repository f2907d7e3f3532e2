"""The accrual service as a peer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
from galen.accrual.v1 import accrual_service_pb2 as messages
from galen.accrual.v1 import claim_pb2
from galen.accrual.v1.accrual_service_pb2_grpc import AccrualServiceStub

from services.orders.application.points.ports import PurchaseRefused
from services.orders.domain.points.purchase import Earned, Purchase
from shared.errors import Unavailable
from shared.grpc.call import remaining_s
from shared.grpc.channel import Credentials, make_channel
from shared.grpc.errors import peer_error

if TYPE_CHECKING:
    from galen.accrual.v1.accrual_service_pb2_grpc import AccrualServiceAsyncStub

# Registering includes a call of the outside accrual system.
REGISTER_LIMIT_S = 10.0
READ_LIMIT_S = 3.0
# Repeating won't help. What we may not do, or not yet, is left to be repeated: it is a matter of settings.
REFUSED = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.FAILED_PRECONDITION})
FINAL = frozenset({claim_pb2.CLAIM_STATE_PROCESSED, claim_pb2.CLAIM_STATE_INVALID})


class AccrualPeer:
    """Calls AccrualService as this service. To be used inside `opened`: a channel belongs to the loop that it was made in."""

    def __init__(self, address: str, credentials: Credentials) -> None:
        self._address = address
        self._credentials = credentials
        self._accrual: AccrualServiceAsyncStub | None = None

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[AccrualPeer]:
        services = messages.DESCRIPTOR.services_by_name.values()
        async with make_channel(self._address, services, self._credentials) as channel:
            self._accrual = AccrualServiceStub(channel)
            try:
                yield self
            finally:
                self._accrual = None

    async def register(self, purchase: Purchase) -> None:
        """Raises PurchaseRefused, PeerError, Unavailable."""
        goods = [messages.PurchasedGood(description=good.description, price_minor=good.price_minor) for good in purchase.goods]
        parent = f"customers/{purchase.customer_id}"
        request_id = str(purchase.request_id)
        request = messages.RegisterPurchaseRequest(parent=parent, number=purchase.number, goods=goods, request_id=request_id)
        try:
            await self._stub.RegisterPurchase(request, timeout=remaining_s(REGISTER_LIMIT_S))
        except grpc.aio.AioRpcError as error:
            failure = peer_error(error)
            if failure.code in REFUSED:
                raise PurchaseRefused(failure.reason) from error
            raise failure from error

    async def earned(self, customer_id: str, number: str) -> Earned | None:
        """Raises PeerError, Unavailable."""
        request = messages.GetClaimRequest(name=f"customers/{customer_id}/claims/{number}")
        try:
            response = await self._stub.GetClaim(request, timeout=remaining_s(READ_LIMIT_S))
        except grpc.aio.AioRpcError as error:
            raise peer_error(error) from error
        claim = response.claim
        return Earned(claim.accrual, claim.credit_operation) if claim.state in FINAL else None

    @property
    def _stub(self) -> AccrualServiceAsyncStub:
        if self._accrual is None:
            raise Unavailable("the channel to the accrual service is closed")
        return self._accrual
