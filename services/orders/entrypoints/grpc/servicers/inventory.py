"""InventoryService over gRPC: convert, await, convert. Who may call and what is valid was decided before, by the contract."""

from __future__ import annotations

from galen.inventory.v1 import inventory_service_pb2_grpc


class InventoryServicer(inventory_service_pb2_grpc.InventoryServiceServicer):
    """Serves InventoryService."""
