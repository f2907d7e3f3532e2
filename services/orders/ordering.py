"""Puts together what makes and changes orders. A part of container.py."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

from dependency_injector import containers, providers

from services.orders.adapters.grpc.customers import CustomersPeer
from services.orders.adapters.identifiers import RandomIdentifiers
from services.orders.adapters.postgres.order_looks import PostgresOrderLooks
from services.orders.adapters.postgres.order_placing import PostgresPlainOrders
from services.orders.adapters.postgres.order_transactions import PostgresOrderTransactions
from services.orders.adapters.postgres.orders import OrderReads
from services.orders.adapters.postgres.pickup_guesses import PostgresPickupGuesses
from services.orders.adapters.postgres.stock_reads import PostgresStockReads
from services.orders.adapters.postgres.transactions import Transactions
from services.orders.application.ordering.allowed_actions import AllowedActions
from services.orders.application.ordering.change_order import ChangeOrder
from services.orders.application.ordering.claim_orders import ClaimOrders
from services.orders.application.ordering.create_order import CreateOrder
from services.orders.application.ordering.hand_over import HandOver
from services.orders.application.ordering.payment_steps import PaymentSteps
from services.orders.application.ordering.read_order import ReadOrder
from services.orders.application.ordering.update_order import UpdateOrder
from services.orders.domain.ordering.changes import Terms
from services.orders.entrypoints.grpc.servicers.order_changes import OrderUseCases
from services.orders.settings import OrdersSettings

# Wrong pickup codes of one order: five at once, then one in ten minutes. A hundred years for all codes.
WRONG_CODES_BURST = 5
WRONG_CODES_PER_SECOND = 1 / 600


def _terms(settings: OrdersSettings) -> Terms:
    return Terms(
        payment=timedelta(seconds=settings.payment_due_s),
        review=timedelta(seconds=settings.review_due_s),
        preparation=timedelta(seconds=settings.preparation_due_s),
        collection=timedelta(seconds=settings.collection_due_s),
        arrival=timedelta(seconds=settings.arrival_due_s),
        returning=timedelta(seconds=settings.return_window_s),
    )


class OrderingContainer(containers.DeclarativeContainer):
    settings = providers.Dependency(instance_of=OrdersSettings)
    registry: providers.Dependency[Any] = providers.Dependency()
    clock: providers.Dependency[Any] = providers.Dependency()
    observer: providers.Dependency[Any] = providers.Dependency()
    token: providers.Dependency[Any] = providers.Dependency()
    engine: providers.Dependency[Any] = providers.Dependency()
    work_engine: providers.Dependency[Any] = providers.Dependency()
    announcements: providers.Dependency[Any] = providers.Dependency()
    notifications: providers.Dependency[Any] = providers.Dependency()
    faults: providers.Dependency[Any] = providers.Dependency()
    arbiter: providers.Dependency[Any] = providers.Dependency()

    terms = providers.Singleton(_terms, settings)
    allowed_actions = providers.Singleton(AllowedActions, terms, clock)
    customers = providers.Singleton(CustomersPeer, settings.provided.customers_address, token, registry)

    # For callers.
    orders = providers.Singleton(OrderReads, engine)
    begun = providers.Singleton(Transactions, engine)
    looks = providers.Singleton(PostgresOrderLooks, begun, registry)
    transactions = providers.Singleton(PostgresOrderTransactions, begun, announcements, faults)
    plain_orders = providers.Singleton(PostgresPlainOrders, begun, notifications, faults)
    change = providers.Singleton(ChangeOrder, transactions, arbiter, terms, clock, observer)
    use_cases = providers.Singleton(
        OrderUseCases,
        create=providers.Singleton(
            CreateOrder, looks, transactions, plain_orders, customers, providers.Singleton(RandomIdentifiers, clock), terms, clock, observer
        ),
        read=providers.Singleton(ReadOrder, orders),
        update=providers.Singleton(UpdateOrder, change, transactions, customers),
        change=change,
        hand_over=providers.Singleton(
            HandOver, change, providers.Singleton(PostgresPickupGuesses, engine, burst=WRONG_CODES_BURST, per_second=WRONG_CODES_PER_SECOND)
        ),
        claims=providers.Singleton(ClaimOrders, transactions, providers.Singleton(PostgresStockReads, engine), clock, observer),
        allowed=allowed_actions,
    )

    # For payments, the sweeper and jobs: with connections that callers can't use up.
    work_transactions = providers.Singleton(
        PostgresOrderTransactions, providers.Singleton(Transactions, work_engine), announcements, faults
    )
    payment_steps = providers.Singleton(
        PaymentSteps,
        providers.Singleton(ChangeOrder, work_transactions, arbiter, terms, clock, observer),
        providers.Singleton(OrderReads, work_engine),
        work_transactions,
        observer,
    )


def resources(ordering: OrderingContainer) -> list[AbstractAsyncContextManager[Any]]:
    """Returns what must be opened before orders are made."""
    return [ordering.customers().opened(), ordering.looks().opened()]
