"""Puts together what lists, finds and watches orders, and what keeps the feed of events. A part of container.py."""

from __future__ import annotations

from typing import Any

from dependency_injector import containers, providers

from services.orders.adapters.feed_metrics import FeedMetrics
from services.orders.adapters.postgres.order_feed import PostgresFeed, PostgresFeedWriter
from services.orders.adapters.postgres.order_history import PostgresOrderHistory, PostgresOrderQueue
from services.orders.adapters.postgres.order_pages import PostgresOrderPages
from services.orders.application.ordering.watch_orders import WatchOrders
from services.orders.entrypoints.grpc.servicers.order_reads import OrderReading
from services.orders.entrypoints.jobs.feeding import Feeding
from services.orders.settings import OrdersSettings


class ReadingContainer(containers.DeclarativeContainer):
    settings = providers.Dependency(instance_of=OrdersSettings)
    registry: providers.Dependency[Any] = providers.Dependency()
    conflicts: providers.Dependency[Any] = providers.Dependency()
    engine: providers.Dependency[Any] = providers.Dependency()
    work_engine: providers.Dependency[Any] = providers.Dependency()
    page_tokens: providers.Dependency[Any] = providers.Dependency()
    allowed_actions: providers.Dependency[Any] = providers.Dependency()

    # Who is behind reads with the callers' connections; the poller, which all others wait for, with one that callers can't use up.
    watch = providers.Singleton(
        WatchOrders,
        providers.Singleton(PostgresFeed, engine),
        polled=providers.Singleton(PostgresFeed, work_engine),
        poll_every_s=settings.provided.watch_poll_every_s,
        heartbeat_s=settings.provided.watch_heartbeat_s,
    )
    reading = providers.Singleton(
        OrderReading,
        pages=providers.Singleton(PostgresOrderPages, engine),
        history=providers.Singleton(PostgresOrderHistory, engine),
        queue=providers.Singleton(PostgresOrderQueue, engine),
        watch=watch,
        tokens=page_tokens,
        allowed=allowed_actions,
    )
    feeding = providers.Singleton(
        Feeding,
        providers.Singleton(PostgresFeedWriter, work_engine),
        providers.Singleton(FeedMetrics, registry, conflicts),
        every_s=settings.provided.feed_every_s,
        kept_days=settings.provided.feed_kept_days,
    )
