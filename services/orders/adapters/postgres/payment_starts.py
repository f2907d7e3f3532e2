"""Payments as they start: two round trips, one that locks and reads all that is judged, and one that stores all that comes of it.

A customer waits for these: see payment_statements.
"""

from __future__ import annotations

import json
from collections import namedtuple
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.adapters.postgres import payment_statements as statements
from services.orders.adapters.postgres.announcements import NotificationsToSend
from services.orders.adapters.postgres.order_looks import find_reply
from services.orders.adapters.postgres.order_round_trips import Send, driver_of, named, positional, sender
from services.orders.adapters.postgres.order_rows import ORDER_COLUMNS, order_of
from services.orders.adapters.postgres.payment_rows import payment_of
from services.orders.adapters.postgres.payment_transactions import DRIVE_PAYMENT_JOB
from services.orders.application.payments.ports import Payable
from services.orders.domain.errors import OrderNotFound
from services.orders.domain.ordering.changes import Outcome
from services.orders.domain.ordering.model import Line, Order
from services.orders.domain.payments.model import Payment
from shared.jobs.queue import JobQueue
from shared.postgres.round_trips import RoundTrips, Rows, Statement
from shared.requests import RequestKey

# Whoever started a payment has just tried.
AGAIN_AFTER_S = 1

_OrderRow = namedtuple("_OrderRow", [column.name for column in ORDER_COLUMNS])  # type: ignore[misc]
_LINE = [field.name for field in fields(Line) if field.name != "lots"]

_CLAIM = """
insert into request_log (actor, request_id, fingerprint) values (%s, %s::uuid, %s::bytea) on conflict do nothing returning request_id
"""
_REMEMBER = "update request_log set reply = %s::jsonb where actor = %s and request_id = %s::uuid"
_LOCK_ORDER = f"select {', '.join(_OrderRow._fields)} from customer_order where order_id = %s::uuid for update"  # noqa: S608
_READ_LINES = f"select {', '.join(_LINE)} from order_item where order_id = %s::uuid order by position"  # noqa: S608
# All that changes of an order whose payment starts.
_NOTE = positional("""
with noted as (
    update customer_order
       set due_at = %(due_at)s::timestamptz, events = %(number)s::int,
           version = %(version)s::bigint, updated_at = %(created_at)s::timestamptz
     where order_id = %(order_id)s::uuid
), event as (
    insert into order_event (order_id, number, kind, from_state, to_state, actor, role, reason, details, created_at)
    values (%(order_id)s::uuid, %(number)s::int, %(kind)s::smallint, %(from_state)s::smallint, %(to_state)s::smallint, %(actor)s, %(role)s,
            %(reason)s, %(details)s::jsonb, %(created_at)s::timestamptz)
)
insert into order_outbox (order_id, number) values (%(order_id)s::uuid, %(number)s::int)
""")


class PostgresPaymentStart:
    """`PaymentStart`. Of what events set off, notifications are all that concerns a payment that starts."""

    def __init__(self, send: Send, notifications: NotificationsToSend) -> None:
        self._send = send
        self._notifications = notifications

    async def lock(self, order_id: UUID, customer_id: str, key: RequestKey) -> UUID | Payable:
        claim = (_CLAIM, (key.actor, str(key.request_id), f"\\x{key.fingerprint.hex()}"))
        order = ((_LOCK_ORDER, (str(order_id),)), (_READ_LINES, (str(order_id),)))
        payments = (statements.lock_live(order_id), statements.count(order_id))
        _, claimed, found, lines, live, ((now, count),) = await self._send([statements.BEGIN, claim, *order, *payments])
        if not claimed:
            return await self._answered(key)
        return Payable(_order(found, lines, customer_id), payment_of(live[0]) if live else None, count, now)

    async def store(self, payment: Payment, noted: Outcome, key: RequestKey) -> None:
        jobs = self._notifications.statements(noted.order, noted.event)
        remember = (_REMEMBER, (json.dumps({"answer": str(payment.id)}), key.actor, str(key.request_id)))
        await self._send([statements.insert(payment), _note(noted), *jobs, remember, statements.COMMIT])

    async def _answered(self, key: RequestKey) -> UUID:
        reply = await find_reply(self._send, key)
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


def _order(rows: Rows, lines: Rows, customer_id: str) -> Order:
    """Raises OrderNotFound."""
    if not rows:
        raise OrderNotFound
    row: Any = _OrderRow._make(rows[0])
    if row.customer_id != customer_id:
        raise OrderNotFound
    return order_of(row, [Line(**dict(zip(_LINE, line, strict=True))) for line in lines])


def _note(noted: Outcome) -> Statement:
    order, event = noted.order, noted.event
    values = {
        "due_at": order.times.due,
        "version": order.version,
        "from_state": event.from_state or 0,
        "actor": event.actor.name,
        "role": event.actor.role,
        "details": json.dumps(dict(event.details)),
        **{name: getattr(event, name) for name in ("order_id", "number", "kind", "to_state", "reason", "created_at")},
    }
    return named(_NOTE, values)
