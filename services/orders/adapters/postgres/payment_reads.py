"""Payments and refunds, read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, exists, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.adapters.postgres.payment_rows import (
    FACT_COLUMNS,
    PAYMENT_COLUMNS,
    REFUND_COLUMNS,
    fact_of,
    payment_of,
    refund_of,
    standing_of,
)
from services.orders.adapters.postgres.payment_tables import payment as payment_table
from services.orders.adapters.postgres.payment_tables import payment_fact
from services.orders.adapters.postgres.payment_tables import refund as refund_table
from services.orders.adapters.postgres.payments import with_order
from services.orders.adapters.postgres.tables import customer_order
from services.orders.application.payments.read_payments import PaymentFilter, Place
from services.orders.domain.payments.facts import Fact
from services.orders.domain.payments.model import Payment, PaymentState, Refund, RefundState
from services.orders.domain.payments.saga import OrderStanding


class PostgresPaymentReads:
    """`StoredPayments`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def has_order(self, customer_id: str, order_id: UUID) -> bool:
        query = select(exists().where(customer_order.c.order_id == order_id, customer_order.c.customer_id == customer_id))
        async with self._engine.connect() as connection:
            return bool((await connection.execute(query)).scalar_one())

    async def payment(self, customer_id: str, order_id: UUID, payment_id: UUID) -> Payment | None:
        table = payment_table.c
        own = (table.payment_id == payment_id, table.order_id == order_id, table.customer_id == customer_id)
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(*PAYMENT_COLUMNS).where(*own))).first()
        return None if row is None else payment_of(row)

    async def said_of(self, customer_id: str, order_id: UUID, payment_id: UUID) -> tuple[Payment, Sequence[Fact], bool] | None:
        table = payment_table.c
        own = (table.payment_id == payment_id, table.order_id == order_id, table.customer_id == customer_id)
        async with self._engine.connect() as connection:
            row = (await connection.execute(with_order().where(*own))).first()
            facts = await connection.execute(select(*FACT_COLUMNS).where(payment_fact.c.payment_id == payment_id))
            known = [fact_of(each) for each in facts]
        return None if row is None else (payment_of(row), known, standing_of(row).was_paid)

    async def refund(self, customer_id: str, order_id: UUID, refund_id: UUID) -> Refund | None:
        table = refund_table.c
        own = (table.refund_id == refund_id, table.order_id == order_id, table.customer_id == customer_id)
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(*REFUND_COLUMNS).where(*own))).first()
        return None if row is None else refund_of(row)

    async def payments(self, wanted: PaymentFilter) -> Sequence[Payment]:
        async with self._engine.connect() as connection:
            rows = await connection.execute(listing(wanted))
        return [payment_of(row) for row in rows]

    async def refunds(self, order_id: UUID, *, before: Place | None, limit: int) -> Sequence[Refund]:
        table = refund_table.c
        query = select(*REFUND_COLUMNS).where(table.order_id == order_id)
        if before is not None:
            query = query.where(tuple_(table.created_at, table.refund_id) < before)
        async with self._engine.connect() as connection:
            rows = await connection.execute(query.order_by(table.created_at.desc(), table.refund_id.desc()).limit(limit))
        return [refund_of(row) for row in rows]

    async def ended_since(self, start: datetime, after: Payment | None, limit: int) -> Sequence[tuple[Payment, OrderStanding]]:
        """`EndedPayments`."""
        table = payment_table.c
        open_refund = exists().where(refund_table.c.payment_id == table.payment_id, refund_table.c.state == RefundState.PENDING)
        query = with_order().where(table.state >= PaymentState.CAPTURED, table.created_at >= start, ~open_refund)
        if after is not None:
            query = query.where(tuple_(table.created_at, table.payment_id) > (after.created_at, after.id))
        async with self._engine.connect() as connection:
            rows = await connection.execute(query.order_by(table.created_at, table.payment_id).limit(limit))
        return [(payment_of(row), standing_of(row)) for row in rows]


def listing(wanted: PaymentFilter) -> Select[Any]:
    """Returns the query for a page of payments, by an index: of an order's, of those that are looked after, of all.

    A payment in quarantine is looked after until somebody has decided on it, whether it has ended or not.
    """
    table = payment_table.c
    query = select(*PAYMENT_COLUMNS)
    if wanted.order_id is not None:
        query = query.where(table.order_id == wanted.order_id)
    if wanted.quarantined_only:
        query = query.where(table.quarantined, table.look_at.is_not(None))
    if wanted.before is not None:
        query = query.where(tuple_(table.created_at, table.payment_id) < wanted.before)
    return query.order_by(table.created_at.desc(), table.payment_id.desc()).limit(wanted.limit)
