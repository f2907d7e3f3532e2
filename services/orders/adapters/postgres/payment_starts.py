"""Payments as they start: two round trips, one that locks and reads all that is judged, and one that stores all that comes of it.

A customer waits for these: see payment_statements.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.adapters.postgres import order_statements
from services.orders.adapters.postgres import payment_statements as statements
from services.orders.adapters.postgres import request_statements as requests
from services.orders.adapters.postgres.announcements import NotificationsToSend
from services.orders.adapters.postgres.order_round_trips import BEGIN, COMMIT, Send, driver_of, sender
from services.orders.adapters.postgres.order_rows import locked_order
from services.orders.adapters.postgres.payment_rows import payment_of
from services.orders.adapters.postgres.payment_transactions import DRIVE_PAYMENT_JOB
from services.orders.application.payments.ports import Payable
from services.orders.domain.errors import OrderNotFound
from services.orders.domain.ordering.changes import Outcome
from services.orders.domain.ordering.model import Order
from services.orders.domain.payments.model import Payment
from shared.jobs.queue import JobQueue
from shared.postgres.round_trips import RoundTrips
from shared.requests import RequestKey

# Whoever started a payment has just tried.
AGAIN_AFTER_S = 1


class PostgresPaymentStart:
    """`PaymentStart`. Of what events set off, notifications are all that concerns a payment that starts."""

    def __init__(self, send: Send, notifications: NotificationsToSend) -> None:
        self._send = send
        self._notifications = notifications

    async def lock(self, order_id: UUID, customer_id: str, key: RequestKey) -> UUID | Payable:
        order_and_payments = (*order_statements.lock(order_id), statements.lock_live(order_id), statements.count(order_id))
        _, claimed, found, lines, live, ((now, count),) = await self._send([BEGIN, requests.claim(key), *order_and_payments])
        if not claimed:
            return await self._answered(key)
        order = locked_order(found[0], lines) if found else None
        if order is None or order.customer_id != customer_id:
            raise OrderNotFound
        return Payable(order, payment_of(live[0]) if live else None, count, now)

    async def store(self, payment: Payment, before: Order, noted: Outcome, key: RequestKey) -> None:
        jobs = self._notifications.statements(noted.order, noted.event)
        remember = requests.remember(key, json.dumps({"answer": str(payment.id)}))
        order = [*order_statements.store(before, noted.order), *order_statements.add_event(noted.event)]
        await self._send([statements.insert(payment), *order, *jobs, remember, COMMIT])

    async def _answered(self, key: RequestKey) -> UUID:
        reply = await requests.find_reply(self._send, key)
        assert reply is not None, "whoever began the request has committed its answer with it"
        return UUID(reply["answer"])


class PostgresPaymentStarts:
    """`PaymentStarts`."""

    def __init__(self, engine: AsyncEngine, jobs: JobQueue, notifications: NotificationsToSend) -> None:
        self._engine = engine
        self._jobs = jobs
        self._notifications = notifications
        self._round_trips = RoundTrips()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[PostgresPaymentStart]:
        async with self._engine.connect() as connection:
            yield PostgresPaymentStart(await sender(self._round_trips, connection), self._notifications)

    async def leave(self, payment_id: UUID) -> None:
        job = self._jobs.enqueuing(DRIVE_PAYMENT_JOB, after_s=AGAIN_AFTER_S, payment_id=str(payment_id))
        async with self._engine.connect() as connection:
            await self._round_trips.send(await driver_of(connection), [job])
