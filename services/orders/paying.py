"""Puts together payments and refunds. A part of container.py."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from dependency_injector import containers, providers

from services.orders.adapters.grpc.points import BalancePoints
from services.orders.adapters.http.stripe.provider import StripeLimits, StripeProvider
from services.orders.adapters.http.stripe.webhooks import StripeWebhooks
from services.orders.adapters.identifiers import RandomIdentifiers
from services.orders.adapters.postgres.payment_reads import PostgresPaymentReads
from services.orders.adapters.postgres.payment_starts import PostgresPaymentStarts
from services.orders.adapters.postgres.payment_transactions import DRIVE_PAYMENT_JOB, DRIVE_REFUND_JOB, PostgresPaymentTransactions
from services.orders.adapters.postgres.payments import PostgresPayments
from services.orders.adapters.postgres.provider_messages import WORK_ON_MESSAGE_JOB, PostgresMessages
from services.orders.adapters.postgres.refunds import PostgresRefunds
from services.orders.adapters.postgres.transactions import Transactions
from services.orders.adapters.postgres.unpayable_orders import PostgresUnpayableOrders
from services.orders.application.payments.drive_payment import DrivePayment
from services.orders.application.payments.drive_refund import DriveRefund
from services.orders.application.payments.earned_points import EarnedByClaims
from services.orders.application.payments.end_unpayable import EndUnpayable
from services.orders.application.payments.fail_refund import FailRefund
from services.orders.application.payments.make_refunds import MakeRefunds
from services.orders.application.payments.order_steps import StepsOfOrders
from services.orders.application.payments.read_payments import ReadPayments
from services.orders.application.payments.reconcile import Reconcile
from services.orders.application.payments.resolve_quarantine import ResolveQuarantine
from services.orders.application.payments.start_payment import StartPayment
from services.orders.application.payments.take_messages import TakeMessages
from services.orders.entrypoints.grpc.servicers.payments import PaymentServicer
from services.orders.entrypoints.jobs.payments import Looking, PaymentJobs
from services.orders.settings import OrdersSettings
from shared.clock import Clock
from shared.errors import DeadlineExceeded
from shared.grpc.call import remaining_s
from shared.jobs.queue import JobQueue

# Of a caller's deadline, for our own work after provider and ledger were waited for; and the longest that they are.
OWN_WORK_S = 0.5
STARTING_S, CANCELLING_S = 8.0, 4.0


def time_for_others(limit_s: float) -> float:
    """Returns the seconds for which a caller, if there is one, waits for the provider and the ledger."""
    try:
        return max(0.0, remaining_s(limit_s + OWN_WORK_S) - OWN_WORK_S)
    except DeadlineExceeded:
        return 0.0


def _lines(file: Path | None) -> list[str]:
    return [line.strip() for line in file.read_text().splitlines() if line.strip()] if file else []


def _provider(settings: OrdersSettings, clock: Clock) -> StripeProvider:
    key = next(iter(_lines(settings.payment_provider_key_file)), "")
    limits = StripeLimits(total_s=settings.payment_provider_timeout_s)
    return StripeProvider(settings.payment_provider_address, key, settings.payment_return_url, limits, clock)


def _webhooks(settings: OrdersSettings, clock: Clock) -> StripeWebhooks:
    return StripeWebhooks(_lines(settings.payment_webhook_secrets_file), clock)


class PayingContainer(containers.DeclarativeContainer):
    settings = providers.Dependency(instance_of=OrdersSettings)
    clock: providers.Dependency[Any] = providers.Dependency()
    jobs: providers.Dependency[Any] = providers.Dependency()
    faults: providers.Dependency[Any] = providers.Dependency()
    token: providers.Dependency[Any] = providers.Dependency()
    engine: providers.Dependency[Any] = providers.Dependency()
    work_engine: providers.Dependency[Any] = providers.Dependency()
    announcements: providers.Dependency[Any] = providers.Dependency()
    notifications: providers.Dependency[Any] = providers.Dependency()
    accrual: providers.Dependency[Any] = providers.Dependency()
    steps: providers.Dependency[Any] = providers.Dependency()
    page_tokens: providers.Dependency[Any] = providers.Dependency()
    observer: providers.Dependency[Any] = providers.Dependency()
    conflicts: providers.Dependency[Any] = providers.Dependency()

    provider = providers.Singleton(_provider, settings, clock)
    points = providers.Singleton(BalancePoints, settings.provided.balance_address, token)
    identifiers = providers.Singleton(RandomIdentifiers, clock)
    # The saga has connections that callers can't use up: whoever holds none never waits for the provider with one.
    records = providers.Singleton(PostgresPayments, work_engine)
    refund_records = providers.Singleton(PostgresRefunds, work_engine)
    transactions = providers.Singleton(PostgresPaymentTransactions, providers.Singleton(Transactions, engine), jobs, announcements)
    starts = providers.Singleton(PostgresPaymentStarts, engine, jobs, notifications)
    refunds = providers.Singleton(MakeRefunds, transactions, identifiers)
    driver = providers.Singleton(DrivePayment, records, provider, points, providers.Singleton(StepsOfOrders, steps), refunds, faults)
    failing = providers.Singleton(FailRefund, transactions, observer)
    refund_driver = providers.Singleton(
        DriveRefund, refund_records, provider, points, providers.Singleton(EarnedByClaims, accrual), clock, faults, observer, failing
    )
    messages = providers.Singleton(
        TakeMessages,
        providers.Singleton(_webhooks, settings, clock),
        providers.Singleton(PostgresMessages, engine, jobs),
        records,
        refund_records,
        provider,
        driver,
        refund_driver,
        clock,
        observer,
        failing,
    )
    payment_jobs = providers.Singleton(PaymentJobs, driver, refund_driver, messages, observer)
    unpayable = providers.Singleton(
        EndUnpayable, providers.Singleton(PostgresUnpayableOrders, work_engine), records, providers.Singleton(StepsOfOrders, steps)
    )
    looking = providers.Singleton(
        Looking,
        records,
        driver,
        messages,
        unpayable,
        observer,
        every_s=settings.provided.payment_look_every_s,
        on_failure=conflicts.provided.seen,
    )
    reads = providers.Singleton(PostgresPaymentReads, engine)
    servicer = providers.Singleton(
        PaymentServicer,
        providers.Singleton(ReadPayments, reads),
        providers.Singleton(
            StartPayment,
            starts,
            records,
            driver,
            identifiers,
            faults,
            time_to_pay=providers.Callable(lambda seconds: timedelta(seconds=seconds), settings.provided.payment_due_s),
            patience_s=providers.Object(partial(time_for_others, STARTING_S)),
            observer=observer,
        ),
        refunds,
        providers.Singleton(
            ResolveQuarantine, transactions, driver, identifiers, patience_s=providers.Object(partial(time_for_others, STARTING_S))
        ),
        messages,
        providers.Singleton(Reconcile, reads, provider, points),
        page_tokens,
    )


def register_steps(paying: PayingContainer, jobs: JobQueue) -> None:
    """Names the steps. None is ever given up: money is concerned."""
    steps: PaymentJobs = paying.payment_jobs()
    jobs.register(DRIVE_PAYMENT_JOB, steps.drive_payment, attempts_max=None)
    jobs.register(DRIVE_REFUND_JOB, steps.drive_refund, attempts_max=None)
    jobs.register(WORK_ON_MESSAGE_JOB, steps.work_on_message, attempts_max=None)


def resources(paying: PayingContainer) -> list[AbstractAsyncContextManager[Any]]:
    """Returns what must be opened before payments are started."""
    return [paying.provider().opened(), paying.points().opened()]
