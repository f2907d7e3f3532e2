"""The part of OrderService that lists, finds and watches orders: convert, await, convert."""

from __future__ import annotations

from galen.orders.v1 import order_service_pb2_grpc


class OrderReadsServicer(order_service_pb2_grpc.OrderServiceServicer):
    """Serves what reads orders."""
