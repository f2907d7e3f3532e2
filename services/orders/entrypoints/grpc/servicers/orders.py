"""OrderService over gRPC: two halves, one service."""

from __future__ import annotations

from services.orders.entrypoints.grpc.servicers.order_changes import OrderChangesServicer
from services.orders.entrypoints.grpc.servicers.order_reads import OrderReadsServicer


class OrderServicer(OrderChangesServicer, OrderReadsServicer):
    """Serves OrderService."""
