"""OrderService over gRPC: two halves, one service."""

from __future__ import annotations

from services.orders.entrypoints.grpc.servicers.order_changes import OrderChangesServicer, OrderUseCases
from services.orders.entrypoints.grpc.servicers.order_reads import OrderReading, OrderReadsServicer


class OrderServicer(OrderChangesServicer, OrderReadsServicer):
    """Serves OrderService."""

    def __init__(self, orders: OrderUseCases, reading: OrderReading) -> None:
        OrderChangesServicer.__init__(self, orders)
        OrderReadsServicer.__init__(self, reading)
