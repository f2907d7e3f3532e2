"""Refunds as they are stored."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orders.adapters.postgres.order_rows import ORDER_COLUMNS, order_of, read_lines
from services.orders.adapters.postgres.payment_rows import PAYMENT_COLUMNS, REFUND_COLUMNS, payment_of, refund_of, refund_values
from services.orders.adapters.postgres.payment_tables import payment as payment_table
from services.orders.adapters.postgres.payment_tables import refund as refund_table
from services.orders.adapters.postgres.payments import PaymentWrites
from services.orders.adapters.postgres.tables import customer_order
from services.orders.application.payments.ports import RefundChange
from services.orders.domain.errors import RefundNotFound
from services.orders.domain.ordering.model import Order
from services.orders.domain.payments.changes import shown, take_back_decided, with_standing
from services.orders.domain.payments.facts import Fact, fold
from services.orders.domain.payments.model import Payment, Refund
from services.orders.domain.payments.refunding import points_to_take_back
from shared.ids import read_id
from shared.postgres.round_trips import RoundTrips


class RefundWrites:
    """Refunds inside a transaction, their payment locked before."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def of_payment(self, payment_id: UUID) -> Sequence[Refund]:
        query = select(*REFUND_COLUMNS).where(refund_table.c.payment_id == payment_id)
        return [refund_of(row) for row in await self._connection.execute(query)]

    async def insert(self, refund: Refund) -> None:
        await self._connection.execute(insert(refund_table).values(refund_values(refund)))

    async def lock(self, refund_id: UUID) -> Refund | None:
        row = (
            await self._connection.execute(select(*REFUND_COLUMNS).where(refund_table.c.refund_id == refund_id).with_for_update())
        ).first()
        return None if row is None else refund_of(row)

    async def store(self, refund: Refund) -> None:
        values = refund_values(refund) | {"version": refund.version + 1}
        await self._connection.execute(update(refund_table).where(refund_table.c.refund_id == refund.id).values(values))


class PostgresRefunds:
    """`RefundRecords`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._round_trips = RoundTrips()

    async def read(self, refund_id: UUID) -> tuple[Refund, Payment, Order]:
        async with self._engine.connect() as connection:
            refund = (await connection.execute(select(*REFUND_COLUMNS).where(refund_table.c.refund_id == refund_id))).first()
            if refund is None:
                raise RefundNotFound
            payment = await connection.execute(select(*PAYMENT_COLUMNS).where(payment_table.c.payment_id == refund.payment_id))
            order = (await connection.execute(select(*ORDER_COLUMNS).where(customer_order.c.order_id == refund.order_id))).one()
            lines = await read_lines(connection, [refund.order_id], lots=False)
            return refund_of(refund), payment_of(payment.one()), order_of(order, lines[refund.order_id])

    async def decide_take_back(self, refund_id: UUID, earned_minor: int) -> Refund:
        async with self._engine.begin() as connection:
            refund, _ = await _locked(connection, PaymentWrites(connection, self._round_trips), refund_id)
            writes = RefundWrites(connection)
            points = points_to_take_back(refund, await writes.of_payment(refund.payment_id), earned_minor)
            decided = take_back_decided(refund, points)
            await writes.store(decided)
        return decided

    async def find_by_reference(self, reference: str, refund_id: str = "") -> UUID | None:
        by_reference = (refund_table.c.provider_reference == reference) & (refund_table.c.provider_reference != "")
        by_id = (refund_table.c.refund_id == read_id(refund_id)) & (refund_table.c.provider_reference == "")
        query = select(refund_table.c.refund_id).where(or_(by_reference, by_id)).order_by(by_reference.desc()).limit(1)
        async with self._engine.connect() as connection:
            found: UUID | None = (await connection.execute(query)).scalar()
        return found

    async def record(self, refund_id: UUID, change: RefundChange, facts: tuple[Fact, ...] = ()) -> Refund:
        async with self._engine.begin() as connection:
            payments = PaymentWrites(connection, self._round_trips)
            refund, payment = await _locked(connection, payments, refund_id)
            known = await payments.add_facts(payment.id, facts)
            now = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
            refund, changed = change(refund, with_standing(payment, fold(payment, known)))
            await payments.store(shown(changed, now))
            await RefundWrites(connection).store(refund)
        return refund


async def _locked(connection: AsyncConnection, payments: PaymentWrites, refund_id: UUID) -> tuple[Refund, Payment]:
    """Locks the payment, then the refund. Raises RefundNotFound."""
    payment_id = (await connection.execute(select(refund_table.c.payment_id).where(refund_table.c.refund_id == refund_id))).scalar()
    if payment_id is None:
        raise RefundNotFound
    payment, refund = await payments.lock(payment_id), await RefundWrites(connection).lock(refund_id)
    if payment is None or refund is None:
        raise RefundNotFound
    return refund, payment
