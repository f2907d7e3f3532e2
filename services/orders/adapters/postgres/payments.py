"""Payments as they are stored: read without locks, recorded in short transactions, never open while others are asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, case, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orders.adapters.postgres.payment_rows import FACT_COLUMNS, PAYMENT_COLUMNS, fact_of, fact_values, payment_of, payment_values
from services.orders.adapters.postgres.payment_tables import payment, payment_fact
from services.orders.adapters.postgres.tables import customer_order
from services.orders.application.payments.observer import UnderWay
from services.orders.application.payments.ports import Draft
from services.orders.domain.errors import PaymentNotFound
from services.orders.domain.ordering.model import State
from services.orders.domain.payments.changes import is_same, shown, with_standing
from services.orders.domain.payments.facts import Fact, fold, news
from services.orders.domain.payments.model import ENDED, Payment, PaymentState
from services.orders.domain.payments.saga import OrderStanding
from shared.ids import read_id

LIVE = payment.c.state.not_in([state.value for state in ENDED])
# How long an answer that may have got lost is waited for, and how often a payer's own doing is looked for. Where people are waited for, it
# is looked seldom: nothing but the provider's own message can come of it.
LOOK_AFTER, LOOK_SELDOM = timedelta(seconds=30), timedelta(minutes=15)
_LOOK_AFTER = case((or_(payment.c.quarantined, payment.c.state == PaymentState.AUTHORIZED), LOOK_SELDOM), else_=LOOK_AFTER)
# By the indexes of payments that are looked after and of refunds that are not through. 1 is STARTED, 4 PENDING; of refunds 1 is PENDING.
_UNDER_WAY = text("""
    select count(*) filter (where state = 4 and not quarantined) as pending,
           count(*) filter (where quarantined) as quarantined,
           greatest(interval '0', clock_timestamp() - min(updated_at) filter (where state in (1, 4) and not quarantined)) as stuck,
           (select greatest(interval '0', clock_timestamp() - min(created_at)) from refund where state = 1) as oldest_refund
      from payment
     where look_at is not null""")


class PaymentWrites:
    """Payments inside a transaction. The order, if it is needed, is locked before."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def live_of(self, order_id: UUID) -> Payment | None:
        """Locks and returns the payment that is under way or has paid the order."""
        return await self._locked(payment.c.order_id == order_id, LIVE)

    async def count_of(self, order_id: UUID) -> int:
        """Returns how many payments the order has had."""
        query = select(func.count()).select_from(payment).where(payment.c.order_id == order_id)
        count: int = (await self._connection.execute(query)).scalar_one()
        return count

    async def lock(self, payment_id: UUID) -> Payment | None:
        """Locks and returns the payment."""
        return await self._locked(payment.c.payment_id == payment_id)

    async def insert(self, started: Payment) -> None:
        """Stores a new payment."""
        await self._connection.execute(insert(payment).values(payment_values(started) | {"look_at": started.created_at + LOOK_AFTER}))

    async def store(self, changed: Payment) -> None:
        """Stores a payment that is locked, as it is after a change. Until it has come to its end somebody looks after it."""
        look_at = None if changed.is_final else func.clock_timestamp() + _look_after(changed)
        values = payment_values(changed) | {"look_at": look_at}
        await self._connection.execute(update(payment).where(payment.c.payment_id == changed.id).values(values))

    async def add_facts(self, payment_id: UUID, facts: Iterable[Fact]) -> Sequence[Fact]:
        """Adds what is new and returns all that is known."""
        rows = await self._connection.execute(select(*FACT_COLUMNS).where(payment_fact.c.payment_id == payment_id))
        known = [fact_of(row) for row in rows]
        new = news(known, facts)
        if new:
            adding = insert(payment_fact).on_conflict_do_nothing()
            await self._connection.execute(adding, [{"payment_id": payment_id, **fact_values(fact)} for fact in new])
        return [*known, *new]

    async def _locked(self, *conditions: ColumnElement[bool]) -> Payment | None:
        row = (await self._connection.execute(select(*PAYMENT_COLUMNS).where(*conditions).with_for_update())).first()
        return None if row is None else payment_of(row)


def _look_after(changed: Payment) -> timedelta:
    return LOOK_SELDOM if changed.quarantined or changed.state is PaymentState.AUTHORIZED else LOOK_AFTER


class PostgresPayments:
    """`PaymentRecords`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def read(self, payment_id: UUID) -> tuple[Payment, OrderStanding]:
        query = with_order().where(payment.c.payment_id == payment_id)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            raise PaymentNotFound
        return payment_of(row), standing_of(row)

    async def record(self, payment_id: UUID, draft: Draft) -> Payment:
        async with self._engine.begin() as connection:
            writes = PaymentWrites(connection)
            before = await writes.lock(payment_id)
            if before is None:
                raise PaymentNotFound
            facts = await writes.add_facts(payment_id, draft.facts)
            now = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
            after = draft.change(with_standing(before, fold(before, facts)))
            after = before if is_same(before, after) else shown(after, now)
            await writes.store(after)
        return after

    async def find_by_intent(self, intent: str, payment_id: str) -> UUID | None:
        by_intent = (payment.c.intent == intent) & (payment.c.intent != "")
        query = select(payment.c.payment_id).where(or_(by_intent, payment.c.payment_id == read_id(payment_id)))
        async with self._engine.connect() as connection:
            found: UUID | None = (await connection.execute(query.order_by(by_intent.desc()).limit(1))).scalar()
        return found

    async def live_of(self, order_id: UUID) -> Payment | None:
        query = select(*PAYMENT_COLUMNS).where(payment.c.order_id == order_id, LIVE)
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else payment_of(row)

    async def due_for_a_look(self, limit: int) -> Sequence[UUID]:
        due = (
            select(payment.c.payment_id)
            .where(payment.c.look_at <= func.statement_timestamp())
            .order_by(payment.c.look_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        later = update(payment).where(payment.c.payment_id.in_(due.scalar_subquery())).values(look_at=func.clock_timestamp() + _LOOK_AFTER)
        async with self._engine.begin() as connection:
            return list((await connection.execute(later.returning(payment.c.payment_id))).scalars())

    async def under_way(self) -> UnderWay:
        async with self._engine.connect() as connection:
            row = (await connection.execute(_UNDER_WAY)).one()
        return UnderWay(row.pending, row.quarantined, row.stuck, row.oldest_refund)


def with_order() -> Select[Any]:
    """Returns the query for payments together with how their orders stand."""
    order = customer_order.c
    columns = (*PAYMENT_COLUMNS, order.state.label("order_state"), order.has_rx, order.reviewed_at, order.paid_at)
    return select(*columns).join_from(payment, customer_order, order.order_id == payment.c.order_id)


def standing_of(row: Row[Any]) -> OrderStanding:
    """Returns how the order of a row of `with_order` stands."""
    return OrderStanding(
        state=State(row.order_state), approved=not row.has_rx or row.reviewed_at is not None, was_paid=row.paid_at is not None
    )
