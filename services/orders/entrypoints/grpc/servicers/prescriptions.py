"""PrescriptionService over gRPC: convert, await, convert. Who may call and what is valid was decided before, by the contract."""

from __future__ import annotations

from galen.orders.v1 import prescription_service_pb2_grpc


class PrescriptionServicer(prescription_service_pb2_grpc.PrescriptionServiceServicer):
    """Serves PrescriptionService."""
