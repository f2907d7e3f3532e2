"""Payments as they are stored: read without locks, recorded in short transactions, never open while others are asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import Select, case, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orders.adapters.postgres import payment_statements as statements
from services.orders.adapters.postgres.order_round_trips import BEGIN, COMMIT, Send, sender, sender_in_transaction
from services.orders.adapters.postgres.payment_rows import PAYMENT_COLUMNS, fact_of, payment_of, standing_of
from services.orders.adapters.postgres.payment_tables import payment
from services.orders.adapters.postgres.tables import customer_order
from services.orders.application.payments.observer import UnderWay
from services.orders.application.payments.ports import Draft, Known
from services.orders.domain.errors import PaymentNotFound
from services.orders.domain.payments.changes import is_same, shown, with_standing
from services.orders.domain.payments.facts import Fact, fold, news
from services.orders.domain.payments.model import ENDED, Payment, PaymentState
from shared.postgres.round_trips import RoundTrips, Rows, Statement

_LOOK_AFTER = case(
    (or_(payment.c.quarantined, payment.c.state.in_((PaymentState.AUTHORIZED, *ENDED))), statements.LOOK_SELDOM),
    else_=statements.LOOK_AFTER,
)
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

    def __init__(self, connection: AsyncConnection, round_trips: RoundTrips) -> None:
        self._connection = connection
        self._round_trips = round_trips

    async def live_of(self, order_id: UUID) -> Payment | None:
        """Locks and returns the payment that is under way or has paid the order."""
        (rows,) = await self._send(statements.lock_live(order_id))
        return _first(rows)

    async def count_of(self, order_id: UUID) -> int:
        """Returns how many payments the order has had."""
        (((_, count),),) = await self._send(statements.count(order_id))
        return int(count)

    async def lock(self, payment_id: UUID) -> Payment | None:
        """Locks and returns the payment."""
        (rows,) = await self._send(statements.lock(payment_id))
        return _first(rows)

    async def store(self, changed: Payment) -> None:
        """Stores a payment that is locked, as it is after a change. Until it has come to its end somebody looks after it."""
        await self._send(statements.store(changed))

    async def add_facts(self, payment_id: UUID, facts: Iterable[Fact]) -> Sequence[Fact]:
        """Adds what is new and returns all that is known."""
        (rows,) = await self._send(statements.read_facts(payment_id))
        known = [fact_of(row) for row in rows]
        new = news(known, facts)
        if new:
            await self._send(*statements.add_facts(payment_id, new))
        return [*known, *new]

    async def _send(self, *each: Statement) -> Sequence[Rows]:
        send = await sender_in_transaction(self._round_trips, self._connection)
        return await send(each)


class PostgresPayments:
    """`PaymentRecords`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._round_trips = RoundTrips()

    async def read(self, payment_id: UUID) -> Known:
        async with self._sending() as send:
            rows, facts = await send([statements.read(payment_id), statements.read_facts(payment_id)])
        if not rows:
            raise PaymentNotFound
        return Known(payment_of(rows[0]), standing_of(rows[0]), tuple(fact_of(row) for row in facts))

    async def record(self, payment_id: UUID, draft: Draft, last: Known | None = None) -> Known:
        """One round trip if the payment is as it was seen last; else two more, or two if nobody saw it: what is stored, what it becomes."""
        known = await self._record_if_same(draft, last) if last and draft.while_order_version is None else None
        return known or await self._record_locked(payment_id, draft)

    async def _record_if_same(self, draft: Draft, last: Known) -> Known | None:
        """Returns nothing if the payment is another by now, or all stays as it is."""
        new = news(last.facts, draft.facts)
        known = (*last.facts, *new)
        changed = draft.changed(with_standing(last.payment, fold(last.payment, known)), last.order)
        if is_same(last.payment, changed):
            return None
        after = shown(changed, last.payment.updated_at)
        async with self._sending() as send:
            # What the provider said it says again, to whoever drives the payment after a crash: that need not wait for the disk.
            wait = statements.wait_for(after.id, durable=not draft.facts)
            _, stored = await send([wait, statements.store_if_same(after, last.payment, len(last.facts), new)])
        return Known(replace(after, updated_at=stored[0][0]), standing_of(stored[0]), known) if stored else None

    async def _record_locked(self, payment_id: UUID, draft: Draft) -> Known:
        asked = (statements.lock(payment_id), statements.read_facts(payment_id), statements.read_standing(payment_id))
        async with self._sending() as send:
            _, found, facts, order = await send([BEGIN, *asked])
            before = _first(found)
            if before is None:
                raise PaymentNotFound
            known = [fact_of(row) for row in facts]
            new = news(known, draft.facts)
            standing = standing_of(order[0])
            after = draft.changed(with_standing(before, fold(before, [*known, *new])), standing)
            after = before if is_same(before, after) else shown(after, order[0][0])
            await send([*statements.add_facts(payment_id, new), statements.store(after), COMMIT])
        return Known(after, standing, (*known, *new))

    async def find_by_intent(self, intent: str, payment_id: str) -> UUID | None:
        async with self._sending() as send:
            (((found,),),) = await send([statements.find(intent, payment_id)])
        return found if isinstance(found, UUID) else None

    async def live_of(self, order_id: UUID) -> Payment | None:
        async with self._sending() as send:
            (rows,) = await send([statements.read_live(order_id)])
        return _first(rows)

    async def due_for_a_look(self, limit: int) -> Sequence[UUID]:
        due = (
            select(payment.c.payment_id)
            .where(payment.c.look_at <= func.statement_timestamp())
            # Those first that wait for nobody: whoever drove them has died.
            .order_by(payment.c.state.not_in((PaymentState.STARTED, PaymentState.PENDING)), payment.c.look_at)
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

    @asynccontextmanager
    async def _sending(self) -> AsyncIterator[Send]:
        async with self._engine.connect() as connection:
            yield await sender(self._round_trips, connection)


def _first(rows: Rows) -> Payment | None:
    return payment_of(rows[0]) if rows else None


def with_order() -> Select[Any]:
    """Returns the query for payments together with how their orders stand."""
    order = customer_order.c
    standing = (order.version, order.state, or_(~order.has_rx, order.reviewed_at.is_not(None)), order.paid_at.is_not(None))
    return select(*PAYMENT_COLUMNS, *standing).join_from(payment, customer_order, order.order_id == payment.c.order_id)
