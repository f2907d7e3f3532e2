"""Transactions on an order together with its payments and refunds, and the jobs that follow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID, uuid5

from sqlalchemy.ext.asyncio import AsyncConnection

from services.orders.adapters.postgres.order_round_trips import CLOCK, sender_in_transaction
from services.orders.adapters.postgres.order_writes import Announcement, OrderWrites
from services.orders.adapters.postgres.payments import PaymentWrites
from services.orders.adapters.postgres.refunds import RefundWrites
from services.orders.adapters.postgres.transactions import Transaction, Transactions
from services.orders.domain.errors import OrderNotFound, OrderStateRefused
from services.orders.domain.ordering.changes import Outcome
from services.orders.domain.ordering.commands import PAYMENT
from services.orders.domain.ordering.model import Action, EventKind, Order, OrderEvent, State
from services.orders.domain.payments.changes import finished, settled, shown
from services.orders.domain.payments.facts import Fact
from services.orders.domain.payments.model import Payment, Refund
from services.orders.domain.payments.refunding import given_by, left_of, refund_amount, refund_lines
from shared.jobs.queue import JobQueue
from shared.postgres.round_trips import RoundTrips
from shared.requests import RequestKey

DRIVE_PAYMENT_JOB = "drive_payment"
DRIVE_REFUND_JOB = "drive_refund"
# Whoever resumes a payment drives it at once; the job is there in case they don't come to an end.
BACKSTOP_S = 5


class PostgresPaymentTransaction:
    """`PaymentTransaction`."""

    def __init__(self, transaction: Transaction, jobs: JobQueue, announcements: Sequence[Announcement], round_trips: RoundTrips) -> None:
        self._transaction = transaction
        self._connection = transaction.connection
        self._jobs = jobs
        self._round_trips = round_trips
        self._orders = OrderWrites(self._connection, announcements, round_trips)
        self._payments = PaymentWrites(self._connection, round_trips)
        self._refunds = RefundWrites(self._connection)

    async def answered(self, key: RequestKey) -> UUID | None:
        return await self._transaction.answered(key, UUID)

    async def now(self) -> datetime:
        send = await sender_in_transaction(self._round_trips, self._connection)
        now: datetime
        (((now,),),) = await send([CLOCK])
        return now

    async def lock_order(self, order_id: UUID, customer_id: str | None) -> Order:
        order = await self._orders.lock(order_id)
        if order is None or customer_id not in (None, order.customer_id):
            raise OrderNotFound
        return order

    async def live_payment(self, order_id: UUID) -> Payment | None:
        return await self._payments.live_of(order_id)

    async def lock_payment(self, payment_id: UUID) -> Payment | None:
        return await self._payments.lock(payment_id)

    async def refunds_of(self, payment_id: UUID) -> Sequence[Refund]:
        return await self._refunds.of_payment(payment_id)

    async def add_refund(self, refund: Refund) -> None:
        await add_refund(self._connection, self._jobs, refund)

    async def store_refund(self, refund: Refund) -> None:
        await self._refunds.store(refund)

    async def facts_of(self, payment_id: UUID) -> Sequence[Fact]:
        return await self._payments.add_facts(payment_id, ())

    async def end_payment(self, payment: Payment) -> None:
        await self._payments.store(payment)

    async def resume_payment(self, payment: Payment) -> None:
        await self._payments.store(payment)
        await self._jobs.enqueue(self._connection, DRIVE_PAYMENT_JOB, after_s=BACKSTOP_S, payment_id=str(payment.id))

    async def store_order(self, before: Order, outcome: Outcome) -> None:
        await self._orders.record(before, outcome.order, outcome.event)

    async def commit(self, key: RequestKey | None, answer: UUID) -> None:
        if key is None:
            await self._connection.commit()
        else:
            await self._transaction.commit(key, UUID, answer)


class PostgresPaymentTransactions:
    """`PaymentTransactions`."""

    def __init__(self, transactions: Transactions, jobs: JobQueue, announcements: Sequence[Announcement]) -> None:
        self._transactions = transactions
        self._jobs = jobs
        self._announcements = announcements
        self._round_trips = RoundTrips()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[PostgresPaymentTransaction]:
        async with self._transactions.begin() as transaction:
            yield PostgresPaymentTransaction(transaction, self._jobs, self._announcements, self._round_trips)


async def add_refund(connection: AsyncConnection, jobs: JobQueue, refund: Refund) -> None:
    await RefundWrites(connection).insert(refund)
    await jobs.enqueue(connection, DRIVE_REFUND_JOB, refund_id=str(refund.id))


class PaymentsToFollow:
    """What the events of an order mean for its payment: an approved order is captured, a cancelled or returned one is given back.

    And what its payment means for an order: it moves on by one that may still pay it only, which nobody can give up from then on.
    """

    def __init__(self, jobs: JobQueue) -> None:
        self._jobs = jobs
        self._round_trips = RoundTrips()

    async def announce(self, connection: AsyncConnection, order: Order, event: OrderEvent) -> None:
        """Raises OrderStateRefused if the payment that is to pay the order was given up."""
        if event.kind is EventKind.STATE_CHANGED and PAYMENT in event.details:
            await self._pay(connection, order, event)
        elif event.kind is EventKind.REVIEWED:
            await self._take(connection, order)
        elif event.kind is EventKind.POINTS_GRANTED:
            await self._take_back(connection, order)
        elif event.kind is EventKind.STATE_CHANGED and order.times.paid is not None:
            if event.to_state is State.CANCELLED:
                await self._give_back(connection, order, event, {})
            elif event.to_state is State.RETURNED:
                returned = {line.sku: line.returned_quantity for line in order.lines if line.returned_quantity}
                await self._give_back(connection, order, event, returned)

    async def _pay(self, connection: AsyncConnection, order: Order, event: OrderEvent) -> None:
        writes = PaymentWrites(connection, self._round_trips)
        payment = await writes.lock(UUID(event.details[PAYMENT].rpartition("/")[2]))
        if payment is None or not payment.may_pay:
            raise OrderStateRefused((event.from_state or order.state).name, [])
        if order.state is State.PAID:
            await writes.store(shown(finished(settled(payment)), event.created_at))

    async def _take(self, connection: AsyncConnection, order: Order) -> None:
        writes = PaymentWrites(connection, self._round_trips)
        payment = await writes.live_of(order.id)
        if payment is not None and payment.may_pay:
            await self._jobs.enqueue(connection, DRIVE_PAYMENT_JOB, payment_id=str(payment.id))
        elif payment is not None or await writes.count_of(order.id):
            raise OrderStateRefused(order.state.name, [Action.REJECT.name])

    async def _take_back(self, connection: AsyncConnection, order: Order) -> None:
        """What was given back before the order earned its points has not taken any back yet."""
        payment = await PaymentWrites(connection, self._round_trips).live_of(order.id)
        for refund in [] if payment is None else await RefundWrites(connection).of_payment(payment.id):
            if not refund.take_back_done:
                await self._jobs.enqueue(connection, DRIVE_REFUND_JOB, refund_id=str(refund.id))

    async def _give_back(self, connection: AsyncConnection, order: Order, event: OrderEvent, quantities: dict[str, int]) -> None:
        payment = await PaymentWrites(connection, self._round_trips).live_of(order.id)
        if payment is None:
            return
        refunds = await RefundWrites(connection).of_payment(payment.id)
        given = given_by(refunds)
        left = {sku: quantity - given.quantities.get(sku, 0) for sku, quantity in quantities.items()}
        free = {line.sku for line in order.lines if not line.unit_price_minor}
        units = {sku: quantity for sku, quantity in left.items() if quantity > 0 and sku not in free}
        if not sum(left_of(payment, given)) or (quantities and not units):
            return
        refund_id, reason, now = uuid5(payment.id, f"event/{event.number}"), event.reason, event.created_at
        if units:
            refund = refund_lines(order, payment, given, units, refund_id=refund_id, reason=reason, now=now)
        else:
            refund = refund_amount(payment, given, 0, refund_id=refund_id, reason=reason, now=now)
        await add_refund(connection, self._jobs, refund)
