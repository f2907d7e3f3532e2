"""CatalogService over gRPC: convert, await, convert. Who may call and what is valid was decided before, by the contract."""

from __future__ import annotations

from galen.orders.v1 import catalog_service_pb2_grpc


class CatalogServicer(catalog_service_pb2_grpc.CatalogServiceServicer):
    """Serves CatalogService."""
