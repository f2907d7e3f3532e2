"""OrderService over gRPC: convert, await, convert. Who may call and what is valid was decided before, by the contract."""

from __future__ import annotations

from galen.orders.v1 import order_service_pb2_grpc


class OrderServicer(order_service_pb2_grpc.OrderServiceServicer):
    """Serves OrderService."""
