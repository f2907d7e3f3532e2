"""Puts together what runs beside the calls: notifications, points, the sweeper. A part of container.py."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from dependency_injector import containers, providers

from services.orders.adapters.grpc.accrual import AccrualPeer
from services.orders.adapters.notifications.log import LogNotifier
from services.orders.adapters.notifications.smtp import Encryption, MailServer, SmtpNotifier
from services.orders.adapters.notifications.webhook import WebhookNotifier
from services.orders.adapters.postgres.announcements import (
    NOTIFY_JOB,
    REGISTER_PURCHASE_JOB,
    NotificationsToSend,
    PostgresEvents,
    PurchasesToRegister,
)
from services.orders.adapters.postgres.earned_points import COLLECT_POINTS_JOB, PostgresPointsOfOrders
from services.orders.adapters.postgres.payment_transactions import PaymentsToFollow
from services.orders.adapters.postgres.waiting_orders import PostgresWaitingOrders
from services.orders.application.notifications.notify import Notify
from services.orders.application.notifications.ports import Notifier
from services.orders.application.ordering.sweep_orders import SweepOrders
from services.orders.application.points.earn_points import EarnPoints
from services.orders.domain.notifications.notification import Channel
from services.orders.entrypoints.jobs.notifications import NotificationJobs
from services.orders.entrypoints.jobs.points import PointsJobs
from services.orders.entrypoints.jobs.sweeper import Sweeper, SweepRules
from services.orders.settings import OrdersSettings
from shared.clock import Clock
from shared.jobs.queue import JobQueue


def _secret(file: Path | None) -> str:
    return file.read_text().strip() if file else ""


def _mail_server(settings: OrdersSettings) -> MailServer:
    host, _, port = (settings.smtp_address or "").rpartition(":")
    return MailServer(
        host=host,
        port=int(port),
        sender=settings.smtp_sender,
        encryption=Encryption(settings.smtp_encryption),
        timeout_s=settings.smtp_timeout_s,
        user=settings.smtp_user,
        password=_secret(settings.smtp_password_file),
    )


def _notifiers(settings: OrdersSettings, clock: Clock) -> dict[Channel, Notifier]:
    """Returns those that are configured."""
    notifiers: dict[Channel, Notifier] = {}
    for channel in map(Channel, settings.channels):
        match channel:
            case Channel.LOG:
                notifiers[channel] = LogNotifier()
            case Channel.SMTP:
                notifiers[channel] = SmtpNotifier(_mail_server(settings))
            case Channel.WEBHOOK:
                secret = _secret(settings.webhook_secret_file).encode()
                notifiers[channel] = WebhookNotifier(settings.webhook_url or "", secret, clock, timeout_s=settings.webhook_timeout_s)
    return notifiers


def _channels(settings: OrdersSettings) -> list[Channel]:
    return [Channel(name) for name in settings.channels]


class OutsideContainer(containers.DeclarativeContainer):
    settings = providers.Dependency(instance_of=OrdersSettings)
    clock: providers.Dependency[Any] = providers.Dependency()
    jobs: providers.Dependency[Any] = providers.Dependency()
    faults: providers.Dependency[Any] = providers.Dependency()
    token: providers.Dependency[Any] = providers.Dependency()
    work_engine: providers.Dependency[Any] = providers.Dependency()

    # What every event sets off, in its own transaction.
    notifications = providers.Singleton(NotificationsToSend, jobs, providers.Callable(_channels, settings))
    announcements = providers.List(
        notifications,
        providers.Singleton(PurchasesToRegister, jobs),
        providers.Singleton(PaymentsToFollow, jobs),
    )

    notifiers = providers.Singleton(_notifiers, settings, clock)
    notify = providers.Singleton(Notify, providers.Singleton(PostgresEvents, work_engine), notifiers, faults)
    notification_jobs = providers.Singleton(NotificationJobs, notify)

    accrual = providers.Singleton(AccrualPeer, settings.provided.accrual_address, token)
    points_of_orders = providers.Singleton(PostgresPointsOfOrders, work_engine, jobs, announcements)
    points_jobs = providers.Singleton(PointsJobs, providers.Singleton(EarnPoints, points_of_orders, accrual, faults))


def _sweep_rules(settings: OrdersSettings) -> SweepRules:
    return SweepRules(settings.sweep_every_s, settings.lots_sweep_every_s, settings.sweep_batch)


class SweepingContainer(containers.DeclarativeContainer):
    settings = providers.Dependency(instance_of=OrdersSettings)
    clock: providers.Dependency[Any] = providers.Dependency()
    observer: providers.Dependency[Any] = providers.Dependency()
    work_engine: providers.Dependency[Any] = providers.Dependency()
    steps: providers.Dependency[Any] = providers.Dependency()
    expire_reservations: providers.Dependency[Any] = providers.Dependency()
    expire_lots: providers.Dependency[Any] = providers.Dependency()

    waiting = providers.Singleton(PostgresWaitingOrders, work_engine)
    orders = providers.Singleton(SweepOrders, waiting, steps, observer, batch=settings.provided.sweep_batch)
    sweeper = providers.Singleton(
        Sweeper, orders, expire_reservations, expire_lots, observer, clock, providers.Singleton(_sweep_rules, settings)
    )


def register_steps(outside: OutsideContainer, jobs: JobQueue) -> None:
    """Names the steps. Telling of an event is given up in the end, points are not."""
    settings: OrdersSettings = outside.settings()
    points = outside.points_jobs()
    jobs.register(NOTIFY_JOB, outside.notification_jobs().notify, attempts_max=settings.notify_attempts_max)
    jobs.register(REGISTER_PURCHASE_JOB, points.register_purchase, attempts_max=None)
    jobs.register(COLLECT_POINTS_JOB, points.collect_points, attempts_max=None)


def resources(outside: OutsideContainer) -> list[AbstractAsyncContextManager[Any]]:
    """Returns what must be opened before steps are run."""
    notifiers: dict[Channel, Notifier] = outside.notifiers()
    return [*(notifier.opened() for notifier in notifiers.values()), outside.accrual().opened()]
