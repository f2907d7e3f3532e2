"""The methods of InventoryService that change stock."""

from __future__ import annotations

from collections.abc import AsyncIterator

from galen.inventory.v1 import inventory_service_pb2 as messages
from galen.inventory.v1 import inventory_service_pb2_grpc

from services.orders.application.inventory.keep_levels import KeepLevels
from services.orders.application.inventory.keep_lots import KeepLots
from services.orders.application.inventory.keep_reservations import KeepReservations
from services.orders.application.inventory.recall_lot import RecallLot
from services.orders.domain.inventory.errors import InventoryError
from services.orders.domain.inventory.names import parse_level, parse_location, parse_lot, parse_reservation
from services.orders.entrypoints.grpc.converters.inventory import (
    adjustment_text,
    affected_message,
    correction_of,
    delivery_of,
    end_of,
    level_message,
    lines_of,
    location_message,
    lot_message,
    received_message,
    rejected_message,
    reservation_message,
)
from shared.errors import InvalidRequest, RequestIdReused
from shared.grpc.call import current_principal, request_key
from shared.grpc.interceptor import Context, Received


class StockChangesServicer(inventory_service_pb2_grpc.InventoryServiceServicer):
    def __init__(self, levels: KeepLevels, lots: KeepLots, recalls: RecallLot, reservations: KeepReservations) -> None:
        self._levels = levels
        self._lots = lots
        self._recalls = recalls
        self._reservations = reservations

    async def CreateLocation(self, request: messages.CreateLocationRequest, context: Context) -> messages.CreateLocationResponse:
        location = await self._levels.add_location(request.location_id, request.display_name, request_key(request))
        return messages.CreateLocationResponse(location=location_message(location))

    async def UpdateStockLevel(self, request: messages.UpdateStockLevelRequest, context: Context) -> messages.UpdateStockLevelResponse:
        level = await self._levels.set_reorder_point(*parse_level(request.name), request.reorder_point, request_key(request))
        return messages.UpdateStockLevelResponse(level=level_message(level))

    async def ReceiveLot(self, request: messages.ReceiveLotRequest, context: Context) -> messages.ReceiveLotResponse:
        stored = await self._lots.receive(delivery_of(request), request_key(request))
        return messages.ReceiveLotResponse(lot=lot_message(stored.lot), level=level_message(stored.level))

    async def AdjustStock(self, request: messages.AdjustStockRequest, context: Context) -> messages.AdjustStockResponse:
        correction, reason = correction_of(request), adjustment_text(request)
        stored = await self._lots.adjust(*parse_lot(request.name), correction, reason, request_key(request))
        return messages.AdjustStockResponse(lot=lot_message(stored.lot), level=level_message(stored.level))

    async def QuarantineLot(self, request: messages.QuarantineLotRequest, context: Context) -> messages.QuarantineLotResponse:
        stored = await self._lots.quarantine(*parse_lot(request.name), request.reason, request_key(request))
        return messages.QuarantineLotResponse(lot=lot_message(stored.lot), level=level_message(stored.level))

    async def ReleaseLot(self, request: messages.ReleaseLotRequest, context: Context) -> messages.ReleaseLotResponse:
        stored = await self._lots.release(*parse_lot(request.name), request.reason, request_key(request))
        return messages.ReleaseLotResponse(lot=lot_message(stored.lot), level=level_message(stored.level))

    async def RecallLot(self, request: messages.RecallLotRequest, context: Context) -> messages.RecallLotResponse:
        recall = await self._recalls.recall(request.sku, request.lot_number, request.reason, request_key(request))
        return messages.RecallLotResponse(
            lots=map(lot_message, recall.lots), orders=map(affected_message, recall.orders), orders_total=recall.total
        )

    async def CreateReservation(self, request: messages.CreateReservationRequest, context: Context) -> messages.CreateReservationResponse:
        location, lines, end = parse_location(request.location), lines_of(request), end_of(request)
        reservation = await self._reservations.create(location, lines, end, request_key(request))
        return messages.CreateReservationResponse(reservation=reservation_message(reservation))

    async def ExtendReservation(self, request: messages.ExtendReservationRequest, context: Context) -> messages.ExtendReservationResponse:
        reservation = await self._reservations.extend(parse_reservation(request.name), end_of(request), request_key(request))
        return messages.ExtendReservationResponse(reservation=reservation_message(reservation))

    async def CommitReservation(self, request: messages.CommitReservationRequest, context: Context) -> messages.CommitReservationResponse:
        reservation = await self._reservations.commit(parse_reservation(request.name), request_key(request))
        return messages.CommitReservationResponse(reservation=reservation_message(reservation))

    async def ReleaseReservation(
        self, request: messages.ReleaseReservationRequest, context: Context
    ) -> messages.ReleaseReservationResponse:
        reservation = await self._reservations.release(parse_reservation(request.name), request_key(request))
        return messages.ReleaseReservationResponse(reservation=reservation_message(reservation))

    async def ImportStock(  # type: ignore[override]  # the spine hands over each message with what is wrong with it
        self, rows: AsyncIterator[Received], context: Context
    ) -> AsyncIterator[messages.ImportStockResponse]:
        number = 0
        async for received in rows:
            number += 1
            row: messages.ImportStockRequest = received.message
            try:
                await self._import(received, row)
            except (InvalidRequest, RequestIdReused, InventoryError) as error:
                yield rejected_message(number, row, error)
            else:
                yield received_message(number, row)

    async def _import(self, received: Received, row: messages.ImportStockRequest) -> None:
        if received.fault is not None:
            raise received.fault
        if row.dry_run:
            await self._lots.judge(delivery_of(row), current_principal.get().actor)
        else:
            await self._lots.receive(delivery_of(row), request_key(row))
