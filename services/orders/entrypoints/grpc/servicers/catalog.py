"""CatalogService over gRPC: convert, await, convert. Who may call and what is valid was decided before, by the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

from galen.orders.v1 import catalog_service_pb2 as messages
from galen.orders.v1 import catalog_service_pb2_grpc

from services.orders.application.catalogue.import_medicine import ImportMedicine, Outcome
from services.orders.application.catalogue.keep_medicines import KeepMedicines
from services.orders.application.catalogue.read_medicines import ReadMedicines
from services.orders.domain.errors import OrdersError
from services.orders.entrypoints.grpc.callers import is_staff
from services.orders.entrypoints.grpc.converters.catalog import (
    changes_of,
    done_message,
    medicine_message,
    particulars_of,
    rejected_message,
    sku_of,
)
from shared.errors import InvalidRequest, RequestIdReused
from shared.grpc.call import request_key
from shared.grpc.interceptor import Context, Received
from shared.grpc.page_tokens import PageTokens, page_size

FOUND_DEFAULT = 20


class CatalogServicer(catalog_service_pb2_grpc.CatalogServiceServicer):
    """Serves CatalogService. Customers see what is for sale; what they have ordered they can still read by its name."""

    def __init__(self, medicines: ReadMedicines, writes: KeepMedicines, imports: ImportMedicine, page_tokens: PageTokens) -> None:
        self._medicines = medicines
        self._writes = writes
        self._imports = imports
        self._page_tokens = page_tokens

    async def CreateMedicine(self, request: messages.CreateMedicineRequest, context: Context) -> messages.CreateMedicineResponse:
        medicine = await self._writes.create(particulars_of(request.medicine), request_key(request))
        return messages.CreateMedicineResponse(medicine=medicine_message(medicine))

    async def GetMedicine(self, request: messages.GetMedicineRequest, context: Context) -> messages.GetMedicineResponse:
        return messages.GetMedicineResponse(medicine=medicine_message(await self._medicines.get(sku_of(request.name))))

    async def ListMedicines(self, request: messages.ListMedicinesRequest, context: Context) -> messages.ListMedicinesResponse:
        position = self._page_tokens.open(request)
        page, last = await self._medicines.page(
            after=position[0] if position else None,
            withdrawn_too=request.show_withdrawn and is_staff(),
            limit=page_size(request.page_size),
        )
        token = "" if last is None else self._page_tokens.seal(request, [last.sku])
        return messages.ListMedicinesResponse(medicines=map(medicine_message, page), next_page_token=token)

    async def SearchMedicines(self, request: messages.SearchMedicinesRequest, context: Context) -> messages.SearchMedicinesResponse:
        limit = request.page_size or FOUND_DEFAULT
        found = await self._medicines.search(request.query, withdrawn_too=is_staff(), limit=limit)
        return messages.SearchMedicinesResponse(medicines=map(medicine_message, found))

    async def UpdateMedicine(self, request: messages.UpdateMedicineRequest, context: Context) -> messages.UpdateMedicineResponse:
        medicine, changes = request.medicine, changes_of(request)
        after = await self._writes.update(medicine.sku, changes, medicine.etag, request_key(request))
        return messages.UpdateMedicineResponse(medicine=medicine_message(after))

    async def ImportMedicines(  # type: ignore[override]  # the spine hands over each message with what is wrong with it
        self, rows: AsyncIterator[Received], context: Context
    ) -> AsyncIterator[messages.ImportMedicinesResponse]:
        number = 0
        async for received in rows:
            number += 1
            yield await self._answer(number, received)

    async def _answer(self, number: int, received: Received) -> messages.ImportMedicinesResponse:
        sku: str = received.message.medicine.sku
        try:
            return done_message(number, sku, await self._import(received))
        except (InvalidRequest, RequestIdReused, OrdersError) as error:
            return rejected_message(number, sku, error)

    async def _import(self, received: Received) -> Outcome:
        if received.fault is not None:
            raise received.fault
        row: messages.ImportMedicinesRequest = received.message
        particulars, etag = particulars_of(row.medicine), row.medicine.etag
        if row.dry_run:
            return await self._imports.judge(particulars, etag)
        return await self._imports.run(particulars, etag, request_key(row))
