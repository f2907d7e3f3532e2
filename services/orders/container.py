"""Puts the orders service together. Used by __main__ and by tests only."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from dependency_injector import containers, providers
from galen.inventory.v1 import error_reason_pb2 as inventory_reasons
from galen.inventory.v1 import inventory_service_pb2, inventory_service_pb2_grpc
from galen.orders.v1 import (
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    order_service_pb2,
    order_service_pb2_grpc,
    prescription_service_pb2,
    prescription_service_pb2_grpc,
)
from galen.orders.v1 import error_reason_pb2 as orders_reasons
from prometheus_client import CollectorRegistry

from services.orders.adapters.metrics import OrdersMetrics
from services.orders.adapters.postgres.medicines import PostgresCatalogueWrites, PostgresMedicines
from services.orders.adapters.postgres.prescriptions import PostgresPrescriptions, PostgresPrescriptionWrites
from services.orders.adapters.postgres.tables import SCHEMA
from services.orders.adapters.postgres.transactions import Transactions
from services.orders.application.catalogue.import_medicine import ImportMedicine
from services.orders.application.catalogue.keep_medicines import KeepMedicines
from services.orders.application.catalogue.read_medicines import ReadMedicines
from services.orders.application.prescriptions.read_prescriptions import ReadPrescriptions
from services.orders.application.prescriptions.record_prescription import RecordPrescription
from services.orders.application.prescriptions.revoke_prescription import RevokePrescription
from services.orders.entrypoints.grpc.servicers.catalog import CatalogServicer
from services.orders.entrypoints.grpc.servicers.inventory import InventoryServicer
from services.orders.entrypoints.grpc.servicers.orders import OrderServicer
from services.orders.entrypoints.grpc.servicers.prescriptions import PrescriptionServicer
from services.orders.ordering import OrderingContainer
from services.orders.ordering import resources as ordering_resources
from services.orders.outside import OutsideContainer, register_steps
from services.orders.outside import resources as outside_resources
from services.orders.settings import WORK_CONNECTIONS, OrdersSettings
from shared.clock import SystemClock
from shared.faults import Faults
from shared.grpc.channel import token_file
from shared.grpc.identity import make_verifier
from shared.grpc.page_tokens import PageTokens
from shared.grpc.runtime import ServiceParts
from shared.jobs.queue import JobQueue
from shared.postgres.conninfo import service_conninfo
from shared.postgres.engine import check_engine, disposing, make_engine
from shared.postgres.errors import translate_postgres_error

# A caller is better served by an early refusal; a step that has its answer had better wait to record it.
WORK_WAIT_S = 10.0


class OrdersContainer(containers.DeclarativeContainer):
    settings = providers.Dependency(instance_of=OrdersSettings)
    registry = providers.Singleton(CollectorRegistry)
    clock = providers.Singleton(SystemClock)
    faults = providers.Singleton(Faults, settings.provided.fault_at)
    conninfo = providers.Callable(service_conninfo, settings.provided.database_uri, schema=SCHEMA, role=settings.provided.database_role)
    engine = providers.Singleton(make_engine, conninfo, size_max=settings.provided.engine_connections_max)
    # Callers can use up their connections only, never those of jobs, sweeper and feed.
    work_engine = providers.Singleton(make_engine, conninfo, size_max=WORK_CONNECTIONS, wait_limit_s=WORK_WAIT_S)
    transactions = providers.Singleton(Transactions, engine)
    jobs = providers.Singleton(JobQueue, SCHEMA, conninfo, registry, dead_after_s=settings.provided.jobs_dead_after_s)
    page_tokens = providers.Singleton(PageTokens.from_file, settings.provided.page_token_key_file)
    token = providers.Callable(token_file, settings.provided.service_token_file)

    verifier = providers.Singleton(make_verifier, settings.provided.jwks_file, settings.provided.customers_address)

    metrics = providers.Singleton(OrdersMetrics, registry)
    outside = providers.Container(
        OutsideContainer, settings=settings, clock=clock, jobs=jobs, faults=faults, token=token, work_engine=work_engine
    )

    # Catalogue and prescriptions.
    medicines = providers.Singleton(PostgresMedicines, engine)
    catalogue_writes = providers.Singleton(PostgresCatalogueWrites, transactions)
    catalog_servicer = providers.Singleton(
        CatalogServicer,
        providers.Singleton(ReadMedicines, medicines),
        providers.Singleton(KeepMedicines, catalogue_writes, clock),
        providers.Singleton(ImportMedicine, catalogue_writes, medicines, clock),
        page_tokens,
    )
    prescription_writes = providers.Singleton(PostgresPrescriptionWrites, transactions)
    prescription_servicer = providers.Singleton(
        PrescriptionServicer,
        providers.Singleton(ReadPrescriptions, providers.Singleton(PostgresPrescriptions, engine)),
        providers.Singleton(RecordPrescription, prescription_writes, clock),
        providers.Singleton(RevokePrescription, prescription_writes, clock),
        page_tokens,
    )

    # Stock.
    inventory_servicer = providers.Singleton(InventoryServicer)

    # Orders.
    ordering = providers.Container(
        OrderingContainer,
        settings=settings,
        clock=clock,
        observer=metrics,
        token=token,
        engine=engine,
        work_engine=work_engine,
        announcements=outside.announcements,
    )
    order_servicer = providers.Singleton(OrderServicer, ordering.use_cases)


def job_queue(container: OrdersContainer) -> JobQueue:
    """Returns the queue with its steps named."""
    jobs: JobQueue = container.jobs()
    register_steps(container.outside(), jobs)
    return jobs


def resources(container: OrdersContainer) -> list[AbstractAsyncContextManager[Any]]:
    """Returns what must be opened before anything is used, in this order."""
    engines = [disposing(container.engine()), disposing(container.work_engine())]
    parts = [*outside_resources(container.outside()), *ordering_resources(container.ordering())]
    return [*engines, container.jobs().opened(), *parts]


def service_parts(container: OrdersContainer) -> ServiceParts:
    """Returns what the kit runs."""
    settings: OrdersSettings = container.settings()
    engine, jobs = container.engine(), job_queue(container)
    catalog, prescriptions = container.catalog_servicer(), container.prescription_servicer()
    inventory, orders = container.inventory_servicer(), container.order_servicer()
    return ServiceParts(
        name="orders",
        grpc_address=settings.grpc_address,
        metrics_address=settings.metrics_address,
        drain_s=settings.drain_s,
        calls_max=settings.calls_max,
        services=[
            catalog_service_pb2.DESCRIPTOR.services_by_name["CatalogService"],
            prescription_service_pb2.DESCRIPTOR.services_by_name["PrescriptionService"],
            order_service_pb2.DESCRIPTOR.services_by_name["OrderService"],
            inventory_service_pb2.DESCRIPTOR.services_by_name["InventoryService"],
        ],
        servicers=[
            lambda server: catalog_service_pb2_grpc.add_CatalogServiceServicer_to_server(catalog, server),
            lambda server: prescription_service_pb2_grpc.add_PrescriptionServiceServicer_to_server(prescriptions, server),
            lambda server: order_service_pb2_grpc.add_OrderServiceServicer_to_server(orders, server),
            lambda server: inventory_service_pb2_grpc.add_InventoryServiceServicer_to_server(inventory, server),
        ],
        reasons=[reasons.DESCRIPTOR.enum_types_by_name["ErrorReason"] for reasons in (orders_reasons, inventory_reasons)],
        verifier=container.verifier(),
        translate=translate_postgres_error,
        check_database=lambda: check_engine(engine),
        registry=container.registry(),
        resources=resources(container),
        background=[jobs.work] if settings.background_work else [],
    )
