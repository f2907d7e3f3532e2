"""The accrual service: claims to the points of order numbers."""

from __future__ import annotations

from datetime import UTC
from uuid import UUID

import grpc
from galen.accrual.v1 import accrual_service_pb2 as messages
from galen.accrual.v1 import claim_pb2
from galen.accrual.v1.accrual_service_pb2_grpc import AccrualServiceStub

from services.gateway.adapters.grpc.calls import Peer, as_customer
from services.gateway.application.ports import Caller, Order, OrderStatus, Page

STATUSES = {
    claim_pb2.CLAIM_STATE_NEW: OrderStatus.NEW,
    claim_pb2.CLAIM_STATE_PROCESSING: OrderStatus.PROCESSING,
    claim_pb2.CLAIM_STATE_INVALID: OrderStatus.INVALID,
    claim_pb2.CLAIM_STATE_PROCESSED: OrderStatus.PROCESSED,
}


class GrpcOrders:
    def __init__(self, channel: grpc.aio.Channel, peer: Peer, page_size: int) -> None:
        self._accrual = AccrualServiceStub(channel)
        self._peer = peer
        self._page_size = page_size

    async def submit(self, caller: Caller, number: str, request_id: UUID) -> bool:
        request = messages.SubmitClaimRequest(parent=_parent(caller), number=number, request_id=str(request_id))
        response = await self._peer.call(self._accrual.SubmitClaim, request, as_customer(caller))
        return response.outcome == messages.SUBMIT_OUTCOME_CREATED

    async def page(self, caller: Caller, token: str) -> Page[Order]:
        request = messages.ListClaimsRequest(parent=_parent(caller), page_size=self._page_size, page_token=token)
        response = await self._peer.call(self._accrual.ListClaims, request, as_customer(caller))
        return Page([_order(claim) for claim in response.claims], response.next_page_token)


def _parent(caller: Caller) -> str:
    return f"customers/{caller.customer_id}"


def _order(claim: claim_pb2.Claim) -> Order:
    return Order(
        number=claim.number,
        # A state that this edge is too old to know is one on the way to a final one.
        status=STATUSES.get(claim.state, OrderStatus.PROCESSING),
        accrual=claim.accrual if claim.HasField("accrual") else None,
        uploaded_at=claim.create_time.ToDatetime(UTC),
    )
