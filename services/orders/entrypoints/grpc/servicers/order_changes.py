"""The part of OrderService that makes and changes orders: convert, await, convert."""

from __future__ import annotations

from galen.orders.v1 import order_service_pb2_grpc


class OrderChangesServicer(order_service_pb2_grpc.OrderServiceServicer):
    """Serves what changes orders."""
