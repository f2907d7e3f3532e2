"""The methods of InventoryService that read."""

from __future__ import annotations

from collections.abc import AsyncIterator

from galen.inventory.v1 import inventory_service_pb2 as messages
from galen.inventory.v1 import inventory_service_pb2_grpc

from services.orders.application.inventory.read_stock import ReadStock
from services.orders.application.inventory.reconcile_stock import ReconcileStock
from services.orders.domain.inventory.names import parse_level, parse_location, parse_lot, parse_reservation
from services.orders.entrypoints.grpc.converters.inventory import (
    difference_message,
    level_message,
    location_message,
    lot_asked_for,
    lot_filter_of,
    lot_message,
    lot_position,
    movement_message,
    read_lot_position,
    reservation_message,
)
from shared.grpc.interceptor import Context
from shared.grpc.page_tokens import PageTokens, page_size

EVERYWHERE = "-"


class StockReadsServicer(inventory_service_pb2_grpc.InventoryServiceServicer):
    def __init__(self, reads: ReadStock, comparison: ReconcileStock, page_tokens: PageTokens) -> None:
        self._reads = reads
        self._comparison = comparison
        self._page_tokens = page_tokens

    async def ListLocations(self, request: messages.ListLocationsRequest, context: Context) -> messages.ListLocationsResponse:
        position = self._page_tokens.open(request)
        page, last = await self._reads.locations(after=position[0] if position else None, limit=page_size(request.page_size))
        token = "" if last is None else self._page_tokens.seal(request, [last.id])
        return messages.ListLocationsResponse(locations=map(location_message, page), next_page_token=token)

    async def GetStockLevel(self, request: messages.GetStockLevelRequest, context: Context) -> messages.GetStockLevelResponse:
        return messages.GetStockLevelResponse(level=level_message(await self._reads.level(*parse_level(request.name))))

    async def BatchGetStockLevels(
        self, request: messages.BatchGetStockLevelsRequest, context: Context
    ) -> messages.BatchGetStockLevelsResponse:
        levels = await self._reads.levels_of(parse_location(request.parent), request.skus)
        return messages.BatchGetStockLevelsResponse(levels=map(level_message, levels))

    async def ListStockLevels(self, request: messages.ListStockLevelsRequest, context: Context) -> messages.ListStockLevelsResponse:
        position = self._page_tokens.open(request)
        page, last = await self._reads.levels(
            parse_location(request.parent),
            after=position[0] if position else None,
            low_only=request.low_only,
            limit=page_size(request.page_size),
        )
        token = "" if last is None else self._page_tokens.seal(request, [last.sku])
        return messages.ListStockLevelsResponse(levels=map(level_message, page), next_page_token=token)

    async def GetLot(self, request: messages.GetLotRequest, context: Context) -> messages.GetLotResponse:
        return messages.GetLotResponse(lot=lot_message(await self._reads.lot(*parse_lot(request.name))))

    async def ListLots(self, request: messages.ListLotsRequest, context: Context) -> messages.ListLotsResponse:
        after, wanted = read_lot_position(self._page_tokens.open(request)), lot_filter_of(request)
        page, last = await self._reads.lots(parse_location(request.parent), wanted, after=after, limit=page_size(request.page_size))
        token = "" if last is None else self._page_tokens.seal(request, lot_position(last))
        return messages.ListLotsResponse(lots=map(lot_message, page), next_page_token=token)

    async def ListStockMovements(
        self, request: messages.ListStockMovementsRequest, context: Context
    ) -> messages.ListStockMovementsResponse:
        position = self._page_tokens.open(request)
        lot = lot_asked_for(request.lot) if request.lot else None
        if request.lot and lot is None:
            return messages.ListStockMovementsResponse()
        page, last = await self._reads.movements(
            parse_location(request.parent),
            sku=request.sku,
            lot=lot,
            before=position[0] if position else None,
            limit=page_size(request.page_size),
        )
        token = "" if last is None else self._page_tokens.seal(request, [last.number])
        return messages.ListStockMovementsResponse(movements=map(movement_message, page), next_page_token=token)

    async def GetReservation(self, request: messages.GetReservationRequest, context: Context) -> messages.GetReservationResponse:
        reservation = await self._reads.reservation(parse_reservation(request.name))
        return messages.GetReservationResponse(reservation=reservation_message(reservation))

    async def ReconcileStock(
        self, request: messages.ReconcileStockRequest, context: Context
    ) -> AsyncIterator[messages.ReconcileStockResponse]:
        location = parse_location(request.parent)
        differences, compared = await self._comparison.reconcile(None if location == EVERYWHERE else location)
        for difference in differences:
            yield messages.ReconcileStockResponse(difference=difference_message(difference))
        yield messages.ReconcileStockResponse(levels_compared=compared)
