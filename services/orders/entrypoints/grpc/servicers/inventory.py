"""InventoryService over gRPC: two halves, one service."""

from __future__ import annotations

from services.orders.application.inventory.keep_levels import KeepLevels
from services.orders.application.inventory.keep_lots import KeepLots
from services.orders.application.inventory.keep_reservations import KeepReservations
from services.orders.application.inventory.read_stock import ReadStock
from services.orders.application.inventory.recall_lot import RecallLot
from services.orders.application.inventory.reconcile_stock import ReconcileStock
from services.orders.entrypoints.grpc.servicers.stock_changes import StockChangesServicer
from services.orders.entrypoints.grpc.servicers.stock_reads import StockReadsServicer
from shared.grpc.page_tokens import PageTokens


class InventoryServicer(StockChangesServicer, StockReadsServicer):
    """Serves InventoryService."""

    def __init__(
        self,
        reads: ReadStock,
        levels: KeepLevels,
        lots: KeepLots,
        recalls: RecallLot,
        reservations: KeepReservations,
        comparison: ReconcileStock,
        page_tokens: PageTokens,
    ) -> None:
        StockChangesServicer.__init__(self, levels, lots, recalls, reservations)
        StockReadsServicer.__init__(self, reads, comparison, page_tokens)
