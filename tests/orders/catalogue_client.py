"""CatalogService and PrescriptionService as their callers see them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict
from uuid import uuid4

import grpc
from galen.orders.v1 import catalog_service_pb2 as catalog
from galen.orders.v1 import prescription_service_pb2 as prescriptions
from galen.orders.v1.catalog_service_pb2_grpc import CatalogServiceStub
from galen.orders.v1.medicine_pb2 import Medicine
from galen.orders.v1.money_pb2 import Money
from galen.orders.v1.prescription_pb2 import Prescription
from galen.orders.v1.prescription_service_pb2_grpc import PrescriptionServiceStub
from google.protobuf.field_mask_pb2 import FieldMask

from shared.testing.identities import Metadata
from tests.orders.world import new_sku

if TYPE_CHECKING:
    from galen.orders.v1.catalog_service_pb2_grpc import CatalogServiceAsyncStub
    from galen.orders.v1.prescription_service_pb2_grpc import PrescriptionServiceAsyncStub

TIMEOUT_S = 10


class Options(TypedDict):
    metadata: Metadata
    timeout: float


def medicine(**changes: Any) -> Medicine:
    """Returns a valid medicine with a SKU of its own, with some fields changed."""
    valid: dict[str, Any] = {
        "sku": new_sku(),
        "display_name": "Ibuprofen",
        "form": "film-coated tablet",
        "strength": "400 mg",
        "price": Money(currency_code="EUR", amount_minor=499),
    }
    return Medicine(**(valid | changes))


def row(wanted: Medicine, *, dry_run: bool = False, request_id: str | None = None) -> catalog.ImportMedicinesRequest:
    return catalog.ImportMedicinesRequest(medicine=wanted, dry_run=dry_run, request_id=request_id or str(uuid4()))


def days_ago(days: int) -> date:
    return datetime.now(UTC).date() - timedelta(days=days)


def fields_of(day: date) -> dict[str, int]:
    """Returns a google.type.Date as the constructors of messages take it."""
    return {"year": day.year, "month": day.month, "day": day.day}


def paper(*skus: str, **changes: Any) -> Prescription:
    """Returns a valid prescription of today for medicines that are not controlled, with some fields changed."""
    valid: dict[str, Any] = {"number": uuid4().hex, "prescriber": "Dr. Quinn", "issue_date": fields_of(days_ago(0)), "skus": skus}
    return Prescription(**(valid | changes))


class Catalogue:
    """CatalogService, called by somebody."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Metadata) -> None:
        self.stub: CatalogServiceAsyncStub = CatalogServiceStub(channel)
        self.metadata = metadata

    async def create(self, wanted: Medicine, *, request_id: str | None = None) -> Medicine:
        request = catalog.CreateMedicineRequest(medicine=wanted, request_id=request_id or str(uuid4()))
        return (await self.stub.CreateMedicine(request, **self._options)).medicine

    async def get(self, sku: str) -> Medicine:
        return (await self.stub.GetMedicine(catalog.GetMedicineRequest(name=f"medicines/{sku}"), **self._options)).medicine

    async def update(self, wanted: Medicine, *paths: str, request_id: str | None = None) -> Medicine:
        """Changes what the paths name; without paths, what is set beside the SKU."""
        named = paths or [field.name for field, _ in wanted.ListFields() if field.name not in {"sku", "etag"}]
        request = catalog.UpdateMedicineRequest(medicine=wanted, update_mask=FieldMask(paths=named), request_id=request_id or str(uuid4()))
        return (await self.stub.UpdateMedicine(request, **self._options)).medicine

    async def page(self, **fields: Any) -> catalog.ListMedicinesResponse:
        return await self.stub.ListMedicines(catalog.ListMedicinesRequest(**fields), **self._options)

    async def search(self, query: str, *, page_size: int = 0) -> list[str]:
        """Returns the SKUs that were found."""
        request = catalog.SearchMedicinesRequest(query=query, page_size=page_size)
        return [found.sku for found in (await self.stub.SearchMedicines(request, **self._options)).medicines]

    async def import_rows(self, rows: Iterable[catalog.ImportMedicinesRequest]) -> list[catalog.ImportMedicinesResponse]:
        async def sent() -> AsyncIterator[catalog.ImportMedicinesRequest]:
            for one in rows:
                yield one

        return [answer async for answer in self.stub.ImportMedicines(sent(), metadata=self.metadata, timeout=60)]

    @property
    def _options(self) -> Options:
        return {"metadata": self.metadata, "timeout": TIMEOUT_S}


class Prescriptions:
    """PrescriptionService, called by somebody."""

    def __init__(self, channel: grpc.aio.Channel, metadata: Metadata) -> None:
        self.stub: PrescriptionServiceAsyncStub = PrescriptionServiceStub(channel)
        self.metadata = metadata

    async def create(self, customer_id: str, wanted: Prescription, *, request_id: str | None = None) -> Prescription:
        request = prescriptions.CreatePrescriptionRequest(
            parent=f"customers/{customer_id}", prescription=wanted, request_id=request_id or str(uuid4())
        )
        return (await self.stub.CreatePrescription(request, **self._options)).prescription

    async def get(self, name: str) -> Prescription:
        return (await self.stub.GetPrescription(prescriptions.GetPrescriptionRequest(name=name), **self._options)).prescription

    async def page(self, customer_id: str, **fields: Any) -> prescriptions.ListPrescriptionsResponse:
        request = prescriptions.ListPrescriptionsRequest(parent=f"customers/{customer_id}", **fields)
        return await self.stub.ListPrescriptions(request, **self._options)

    async def revoke(self, name: str, *, reason: str = "forged", request_id: str | None = None) -> Prescription:
        request = prescriptions.RevokePrescriptionRequest(name=name, reason=reason, request_id=request_id or str(uuid4()))
        return (await self.stub.RevokePrescription(request, **self._options)).prescription

    @property
    def _options(self) -> Options:
        return {"metadata": self.metadata, "timeout": TIMEOUT_S}
