"""Puts the inventory together. A part of container.py."""

from __future__ import annotations

from typing import Any

from dependency_injector import containers, providers

from services.orders.adapters.postgres.recalled_orders import TELL_OF_RECALL_JOB, PostgresRecalledOrders
from services.orders.adapters.postgres.stock_comparison import PostgresStockComparison
from services.orders.adapters.postgres.stock_reads import PostgresStockReads
from services.orders.adapters.postgres.stock_sweeps import PostgresStockSweeps
from services.orders.adapters.postgres.stock_writes import PostgresStockWrites
from services.orders.application.inventory.expire import ExpireLots, ExpireReservations
from services.orders.application.inventory.keep_levels import KeepLevels
from services.orders.application.inventory.keep_lots import KeepLots
from services.orders.application.inventory.keep_reservations import KeepReservations
from services.orders.application.inventory.read_stock import ReadStock
from services.orders.application.inventory.recall_lot import RecallLot
from services.orders.application.inventory.reconcile_stock import ReconcileStock
from services.orders.application.inventory.tell_of_recall import TellOfRecall
from services.orders.entrypoints.grpc.servicers.inventory import InventoryServicer
from services.orders.entrypoints.jobs.recalls import RecallJobs
from shared.jobs.queue import JobQueue


class InventoryContainer(containers.DeclarativeContainer):
    engine: providers.Dependency[Any] = providers.Dependency()
    work_engine: providers.Dependency[Any] = providers.Dependency()
    transactions: providers.Dependency[Any] = providers.Dependency()
    clock: providers.Dependency[Any] = providers.Dependency()
    observer: providers.Dependency[Any] = providers.Dependency()
    jobs: providers.Dependency[Any] = providers.Dependency()
    announcements: providers.Dependency[Any] = providers.Dependency()
    page_tokens: providers.Dependency[Any] = providers.Dependency()

    reads = providers.Singleton(PostgresStockReads, engine)
    writes = providers.Singleton(PostgresStockWrites, transactions, jobs)
    servicer = providers.Singleton(
        InventoryServicer,
        providers.Singleton(ReadStock, reads),
        providers.Singleton(KeepLevels, writes),
        providers.Singleton(KeepLots, writes, clock),
        providers.Singleton(RecallLot, writes),
        providers.Singleton(KeepReservations, writes, clock, observer),
        providers.Singleton(ReconcileStock, reads, providers.Singleton(PostgresStockComparison, engine)),
        page_tokens,
    )

    # For the sweeper.
    sweeps = providers.Singleton(PostgresStockSweeps, work_engine)
    expire_lots = providers.Singleton(ExpireLots, sweeps)
    expire_reservations = providers.Singleton(ExpireReservations, sweeps, observer)

    recall_jobs = providers.Singleton(
        RecallJobs, providers.Singleton(TellOfRecall, providers.Singleton(PostgresRecalledOrders, work_engine, announcements))
    )


def register_steps(inventory: InventoryContainer, jobs: JobQueue) -> None:
    """Names the steps."""
    jobs.register(TELL_OF_RECALL_JOB, inventory.recall_jobs().tell_of_recall, attempts_max=None)
