"""PrescriptionService over gRPC: convert, await, convert. Who may call and what is valid was decided before, by the contract."""

from __future__ import annotations

from galen.orders.v1 import prescription_service_pb2 as messages
from galen.orders.v1 import prescription_service_pb2_grpc

from services.orders.application.prescriptions.read_prescriptions import ReadPrescriptions
from services.orders.application.prescriptions.record_prescription import RecordPrescription
from services.orders.application.prescriptions.revoke_prescription import RevokePrescription
from services.orders.domain.prescriptions.prescription import parse_name
from services.orders.entrypoints.grpc.converters.prescriptions import (
    customer_of,
    paper_of,
    position_of,
    prescription_message,
    read_position,
)
from shared.grpc.call import request_key
from shared.grpc.interceptor import Context
from shared.grpc.page_tokens import PageTokens, page_size


class PrescriptionServicer(prescription_service_pb2_grpc.PrescriptionServiceServicer):
    """Serves PrescriptionService."""

    def __init__(
        self, prescriptions: ReadPrescriptions, records: RecordPrescription, revocations: RevokePrescription, page_tokens: PageTokens
    ) -> None:
        self._prescriptions = prescriptions
        self._records = records
        self._revocations = revocations
        self._page_tokens = page_tokens

    async def CreatePrescription(
        self, request: messages.CreatePrescriptionRequest, context: Context
    ) -> messages.CreatePrescriptionResponse:
        customer_id, paper = customer_of(request.parent), paper_of(request.prescription)
        prescription = await self._records.record(customer_id, paper, request_key(request))
        return messages.CreatePrescriptionResponse(prescription=prescription_message(prescription))

    async def GetPrescription(self, request: messages.GetPrescriptionRequest, context: Context) -> messages.GetPrescriptionResponse:
        prescription = await self._prescriptions.get(*parse_name(request.name))
        return messages.GetPrescriptionResponse(prescription=prescription_message(prescription))

    async def ListPrescriptions(self, request: messages.ListPrescriptionsRequest, context: Context) -> messages.ListPrescriptionsResponse:
        customer_id, before = customer_of(request.parent), read_position(self._page_tokens.open(request))
        page, last = await self._prescriptions.page(customer_id, before=before, limit=page_size(request.page_size))
        token = "" if last is None else self._page_tokens.seal(request, position_of(last))
        return messages.ListPrescriptionsResponse(prescriptions=map(prescription_message, page), next_page_token=token)

    async def RevokePrescription(
        self, request: messages.RevokePrescriptionRequest, context: Context
    ) -> messages.RevokePrescriptionResponse:
        customer_id, prescription_id = parse_name(request.name)
        prescription = await self._revocations.revoke(customer_id, prescription_id, request.reason, request_key(request))
        return messages.RevokePrescriptionResponse(prescription=prescription_message(prescription))
