"""Puts the orders service together. Used by __main__ and by tests only."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

from dependency_injector import containers, providers
from galen.inventory.v1 import error_reason_pb2 as inventory_reasons
from galen.inventory.v1 import inventory_service_pb2, inventory_service_pb2_grpc
from galen.orders.v1 import (
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    order_service_pb2,
    order_service_pb2_grpc,
    payment_service_pb2,
    payment_service_pb2_grpc,
    prescription_service_pb2,
    prescription_service_pb2_grpc,
)
from galen.orders.v1 import error_reason_pb2 as orders_reasons
from prometheus_client import CollectorRegistry

from services.orders.adapters.metrics import OrdersMetrics
from services.orders.adapters.payment_metrics import PaymentMetrics
from services.orders.adapters.postgres.medicines import PostgresCatalogueWrites, PostgresMedicines
from services.orders.adapters.postgres.payments import PostgresPayments
from services.orders.adapters.postgres.prescriptions import PostgresPrescriptions, PostgresPrescriptionWrites
from services.orders.adapters.postgres.tables import SCHEMA
from services.orders.adapters.postgres.transactions import Transactions
from services.orders.application.catalogue.import_medicine import ImportMedicine
from services.orders.application.catalogue.keep_medicines import KeepMedicines
from services.orders.application.catalogue.read_medicines import ReadMedicines
from services.orders.application.payments.arbiter import LivePayments
from services.orders.application.payments.drive_payment import DrivePayment
from services.orders.application.prescriptions.read_prescriptions import ReadPrescriptions
from services.orders.application.prescriptions.record_prescription import RecordPrescription
from services.orders.application.prescriptions.revoke_prescription import RevokePrescription
from services.orders.entrypoints.grpc.servicers.catalog import CatalogServicer
from services.orders.entrypoints.grpc.servicers.orders import OrderServicer
from services.orders.entrypoints.grpc.servicers.prescriptions import PrescriptionServicer
from services.orders.inventory import InventoryContainer
from services.orders.inventory import register_steps as register_stock_steps
from services.orders.ordering import OrderingContainer
from services.orders.ordering import resources as ordering_resources
from services.orders.outside import OutsideContainer, SweepingContainer, register_steps
from services.orders.outside import resources as outside_resources
from services.orders.paying import CANCELLING_S, PayingContainer, time_for_others
from services.orders.paying import register_steps as register_payment_steps
from services.orders.paying import resources as payment_resources
from services.orders.reading import ReadingContainer
from services.orders.settings import WORK_CONNECTIONS, OrdersSettings
from shared.clock import SystemClock
from shared.faults import Faults
from shared.grpc.channel import token_file
from shared.grpc.identity import make_verifier
from shared.grpc.page_tokens import PageTokens
from shared.grpc.runtime import Background, ServiceParts
from shared.jobs.queue import JobQueue
from shared.postgres.conninfo import service_conninfo
from shared.postgres.engine import check_engine, disposing, make_engine
from shared.postgres.errors import PostgresConflicts

# A caller is better served by an early refusal; a step that has its answer had better wait to record it.
WORK_WAIT_S = 10.0


def _driver_of(container: OrdersContainer) -> Callable[[], DrivePayment]:
    driver: Callable[[], DrivePayment] = container.paying().driver
    return driver


class OrdersContainer(containers.DeclarativeContainer):
    itself: providers.Self[Any] = providers.Self()
    settings = providers.Dependency(instance_of=OrdersSettings)
    registry = providers.Singleton(CollectorRegistry)
    clock = providers.Singleton(SystemClock)
    faults = providers.Singleton(Faults, settings.provided.fault_at)
    conninfo = providers.Callable(service_conninfo, settings.provided.database_uri, schema=SCHEMA, role=settings.provided.database_role)
    # Orders are made by statements that stay prepared (see RoundTrips).
    engine = providers.Singleton(make_engine, conninfo, size_max=settings.provided.engine_connections_max, prepares=False)
    # Callers can use up their connections only, never those of jobs, sweeper and feed.
    work_engine = providers.Singleton(make_engine, conninfo, size_max=WORK_CONNECTIONS, wait_limit_s=WORK_WAIT_S, prepares=False)
    transactions = providers.Singleton(Transactions, engine)
    conflicts = providers.Singleton(PostgresConflicts, registry)
    jobs = providers.Singleton(
        JobQueue, SCHEMA, conninfo, registry, dead_after_s=settings.provided.jobs_dead_after_s, on_failure=conflicts.provided.seen
    )
    page_tokens = providers.Singleton(PageTokens.from_file, settings.provided.page_token_key_file)
    token = providers.Callable(token_file, settings.provided.service_token_file)

    verifier = providers.Singleton(make_verifier, settings.provided.jwks_file, settings.provided.customers_address)

    metrics = providers.Singleton(OrdersMetrics, registry, conflicts)
    payment_metrics = providers.Singleton(PaymentMetrics, registry)
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
    inventory = providers.Container(
        InventoryContainer,
        engine=engine,
        work_engine=work_engine,
        transactions=transactions,
        clock=clock,
        observer=metrics,
        jobs=jobs,
        announcements=outside.announcements,
        page_tokens=page_tokens,
    )

    # Orders. They ask the arbiter of payments before they end unpaid, and payments change orders.
    arbiter = providers.Singleton(
        LivePayments,
        providers.Singleton(PostgresPayments, work_engine),
        providers.Callable(_driver_of, itself),
        providers.Object(partial(time_for_others, CANCELLING_S)),
        payment_metrics,
    )
    ordering = providers.Container(
        OrderingContainer,
        settings=settings,
        registry=registry,
        clock=clock,
        observer=metrics,
        token=token,
        engine=engine,
        work_engine=work_engine,
        announcements=outside.announcements,
        notifications=outside.notifications,
        faults=faults,
        arbiter=arbiter,
    )
    paying = providers.Container(
        PayingContainer,
        settings=settings,
        clock=clock,
        jobs=jobs,
        faults=faults,
        token=token,
        engine=engine,
        work_engine=work_engine,
        announcements=outside.announcements,
        notifications=outside.notifications,
        accrual=outside.accrual,
        steps=ordering.payment_steps,
        page_tokens=page_tokens,
        observer=payment_metrics,
        conflicts=conflicts,
    )
    sweeping = providers.Container(
        SweepingContainer,
        settings=settings,
        clock=clock,
        observer=metrics,
        work_engine=work_engine,
        steps=ordering.payment_steps,
        expire_reservations=inventory.expire_reservations,
        expire_lots=inventory.expire_lots,
    )
    reading = providers.Container(
        ReadingContainer,
        settings=settings,
        registry=registry,
        conflicts=conflicts,
        engine=engine,
        work_engine=work_engine,
        page_tokens=page_tokens,
        allowed_actions=ordering.allowed_actions,
    )
    order_servicer = providers.Singleton(OrderServicer, ordering.use_cases, reading.reading)


def job_queue(container: OrdersContainer) -> JobQueue:
    """Returns the queue with its steps named."""
    jobs: JobQueue = container.jobs()
    register_steps(container.outside(), jobs)
    register_payment_steps(container.paying(), jobs)
    register_stock_steps(container.inventory(), jobs)
    return jobs


def background(container: OrdersContainer, jobs: JobQueue) -> list[Background]:
    """Returns what runs beside the calls, in any number of replicas: for watchers where they are served, the rest where work is done."""
    settings: OrdersSettings = container.settings()
    loops = (container.sweeping().sweeper(), container.reading().feeding(), container.paying().looking())
    work = [jobs.work, *(loop.run for loop in loops)] if settings.background_work else []
    return [container.reading().watch().run, *work]


def resources(container: OrdersContainer) -> list[AbstractAsyncContextManager[Any]]:
    """Returns what must be opened before anything is used, in this order."""
    engines = [disposing(container.engine()), disposing(container.work_engine())]
    parts = [*outside_resources(container.outside()), *ordering_resources(container.ordering()), *payment_resources(container.paying())]
    return [*engines, container.jobs().opened(), *parts]


def service_parts(container: OrdersContainer) -> ServiceParts:
    """Returns what the kit runs."""
    settings: OrdersSettings = container.settings()
    engine, jobs = container.engine(), job_queue(container)
    catalog, prescriptions = container.catalog_servicer(), container.prescription_servicer()
    inventory, orders = container.inventory().servicer(), container.order_servicer()
    payments = container.paying().servicer()
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
            payment_service_pb2.DESCRIPTOR.services_by_name["PaymentService"],
            inventory_service_pb2.DESCRIPTOR.services_by_name["InventoryService"],
        ],
        servicers=[
            lambda server: catalog_service_pb2_grpc.add_CatalogServiceServicer_to_server(catalog, server),
            lambda server: prescription_service_pb2_grpc.add_PrescriptionServiceServicer_to_server(prescriptions, server),
            lambda server: order_service_pb2_grpc.add_OrderServiceServicer_to_server(orders, server),
            lambda server: payment_service_pb2_grpc.add_PaymentServiceServicer_to_server(payments, server),
            lambda server: inventory_service_pb2_grpc.add_InventoryServiceServicer_to_server(inventory, server),
        ],
        reasons=[reasons.DESCRIPTOR.enum_types_by_name["ErrorReason"] for reasons in (orders_reasons, inventory_reasons)],
        verifier=container.verifier(),
        translate=container.conflicts().translate,
        check_database=lambda: check_engine(engine),
        registry=container.registry(),
        resources=resources(container),
        background=background(container, jobs),
    )
