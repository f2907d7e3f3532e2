"""PaymentService over gRPC: convert, await, convert. Who may call and what is valid was decided before, by the contract."""

from __future__ import annotations

from galen.orders.v1 import payment_service_pb2_grpc


class PaymentServicer(payment_service_pb2_grpc.PaymentServiceServicer):
    """Serves PaymentService."""
