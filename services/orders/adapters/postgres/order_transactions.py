"""Transactions on orders: the repositories of all that changes with them, on one connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from services.orders.adapters.postgres import prescriptions
from services.orders.adapters.postgres import request_statements as requests
from services.orders.adapters.postgres.order_inserts import claim_and_read, insert_order, remember_and_reserve
from services.orders.adapters.postgres.order_limits import lock_ordered
from services.orders.adapters.postgres.order_placing import COMMITTED, COMMITTING, order_reservation, remembered
from services.orders.adapters.postgres.order_round_trips import CLOCK, driver_of, sender, sender_in_transaction
from services.orders.adapters.postgres.order_writes import Announcement, OrderWrites
from services.orders.adapters.postgres.stock import PostgresStock, reservation_values
from services.orders.adapters.postgres.transactions import Transaction, Transactions
from services.orders.application.inventory.stock import Cause
from services.orders.domain.catalogue.medicine import Medicine
from services.orders.domain.ordering.changes import Outcome
from services.orders.domain.ordering.creation import PeriodLimit
from services.orders.domain.ordering.model import Order, OrderEvent, State
from services.orders.domain.prescriptions.prescription import Prescription
from shared.faults import Faults
from shared.postgres.round_trips import RoundTrips, Rows, Statement
from shared.requests import RequestKey


class PostgresOrderTransaction:
    """Implements the port OrderTransaction."""

    def __init__(self, transaction: Transaction, announcements: Sequence[Announcement], faults: Faults, round_trips: RoundTrips) -> None:
        self._faults = faults
        self._round_trips = round_trips
        self._transaction = transaction
        self._connection = transaction.connection
        self._orders = OrderWrites(transaction.connection, announcements, round_trips)
        self.stock = PostgresStock(transaction.connection, round_trips)

    async def answered(self, key: RequestKey) -> Order | None:
        send = await sender_in_transaction(self._round_trips, self._connection)
        (claimed,) = await send([requests.claim(key)])
        return None if claimed else self._transaction.answers.read(await requests.find_reply(send, key), Order)

    async def now(self) -> datetime:
        send = await sender_in_transaction(self._round_trips, self._connection)
        now: datetime
        (((now,),),) = await send([CLOCK])
        return now

    async def lock(self, order_id: UUID) -> Order | None:
        return await self._orders.lock(order_id)

    async def lock_next(self, location_id: str, states: Collection[State], *, not_of: str) -> Order | None:
        return await self._orders.lock_next(location_id, states, not_of=not_of)

    async def begin_order(self, key: RequestKey | None, skus: Collection[str]) -> Order | Mapping[str, Medicine]:
        is_new, medicines = await claim_and_read(self._send, key, skus)
        answer = None if is_new or key is None else await self.answered(key)
        return medicines if answer is None else answer

    async def lock_ordered(self, customer_id: str, limits: Sequence[PeriodLimit], now: datetime) -> Mapping[str, int]:
        return await lock_ordered(self._connection, customer_id, limits, now)

    async def lock_prescriptions(self, customer_id: str, ids: Collection[UUID]) -> Mapping[UUID, Prescription]:
        return await prescriptions.lock_many(self._connection, customer_id, ids)

    async def count_prescriptions(self, ids: Collection[UUID], order_id: UUID) -> None:
        await prescriptions.count_use(self._connection, ids, order_id)

    async def give_back_prescriptions(self, order_id: UUID) -> None:
        await prescriptions.give_back(self._connection, order_id)

    async def insert(self, order: Order, event: OrderEvent, words: Iterable[str]) -> None:
        await insert_order(self._send, order, event, words)
        await self._orders.announce(order, event)

    async def hold(self, order: Order, cause: Cause, key: RequestKey | None) -> None:
        wanted, reply = order_reservation(order, cause), self._transaction.answers.text(Order, remembered(order))
        if not await remember_and_reserve(self._send, key, reply, reservation_values(**wanted)):
            await self.stock.reserve(**wanted)

    async def store(self, before: Order, outcome: Outcome) -> None:
        await self._orders.record(before, outcome.order, outcome.event)

    async def remember(self, key: RequestKey, answer: Order) -> None:
        send = await sender_in_transaction(self._round_trips, self._connection)
        await send([requests.remember(key, self._transaction.answers.text(Order, remembered(answer)))])

    async def commit(self) -> None:
        self._faults.reach(COMMITTING)
        # SQLAlchemy would commit only what it has begun itself.
        await (await driver_of(self._connection)).commit()
        self._faults.reach(COMMITTED)

    async def _send(self, statements: Sequence[Statement]) -> Sequence[Rows]:
        send = await sender(self._round_trips, self._connection)
        return await send(statements)


class PostgresOrderTransactions:
    def __init__(self, transactions: Transactions, announcements: Sequence[Announcement] = (), faults: Faults | None = None) -> None:
        self._transactions = transactions
        self._announcements = announcements
        self._faults = faults or Faults()
        self._round_trips = RoundTrips()

    async def answer_of(self, key: RequestKey) -> Order | None:
        async with self._transactions.begin() as transaction:
            send = await sender(self._round_trips, transaction.connection)
            return transaction.answers.read(await requests.find_reply(send, key), Order)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[PostgresOrderTransaction]:
        async with self._transactions.begin() as transaction:
            yield PostgresOrderTransaction(transaction, self._announcements, self._faults, self._round_trips)
