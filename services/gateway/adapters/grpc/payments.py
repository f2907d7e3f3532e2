"""The payments of the orders service."""

from __future__ import annotations

import grpc
from galen.orders.v1 import payment_service_pb2 as messages
from galen.orders.v1.payment_service_pb2_grpc import PaymentServiceStub

from services.gateway.adapters.grpc.calls import Peer


class GrpcPayments:
    def __init__(self, channel: grpc.aio.Channel, peer: Peer) -> None:
        self._payments = PaymentServiceStub(channel)
        self._peer = peer

    async def deliver_webhook(self, body: bytes, signature: str) -> None:
        request = messages.DeliverWebhookRequest(body=body, signature=signature)
        await self._peer.call(self._payments.DeliverWebhook, request, {})
