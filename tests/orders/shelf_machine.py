"""What staff and time do to the lots of one location, as rules for state machines: on the real database, against a model of stock.

After every step levels, lots, reservations and what is bound are those of the model, and everything adds up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import uvloop
from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orders.adapters.postgres.stock_sweeps import PostgresStockSweeps
from services.orders.application.inventory.expire import ExpireLots
from services.orders.application.inventory.keep_lots import KeepLots
from services.orders.application.inventory.recall_lot import RecallLot
from services.orders.domain.inventory.lots import Correction, Delivery
from services.orders.domain.inventory.model import Recall
from shared.clock import SystemClock
from shared.errors import GalenError
from shared.postgres.engine import make_engine
from shared.requests import RequestKey
from tests.orders.acting_machine import ActingMachine, act
from tests.orders.integration.inventory.conftest import stock_writes
from tests.orders.stock_model import SUPPLY, LotKey, Refused, StockModel
from tests.orders.stock_rows import add_location, add_medicine, broken_rules, days
from tests.orders.world import today

units = st.integers(1, 4)
numbers = st.sampled_from("ABC")
which = st.integers(0, 1000)


class Books:
    """The database, asked from code that is not asynchronous."""

    def __init__(self, conninfo: str) -> None:
        self.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.engine: AsyncEngine = make_engine(conninfo, size_max=2)
        writes = stock_writes(self.engine)
        self.lots = KeepLots(writes, SystemClock())
        self.recalls = RecallLot(writes)
        self.sweeps = PostgresStockSweeps(self.engine)
        self.expire = ExpireLots(self.sweeps)

    def run(self, work: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await work

        return self.runner.run(awaited())

    def transaction(self, work: Callable[[AsyncConnection], Awaitable[Any]]) -> Any:
        async def committed() -> Any:
            async with self.engine.begin() as connection:
                return await work(connection)

        return self.run(committed())

    def close(self) -> None:
        self.run(self.engine.dispose())
        self.runner.close()


def key() -> RequestKey:
    return RequestKey("customers/ann", uuid4(), b"content")


def expiry(number: str) -> date:
    """Returns the last day of the lots with this number: never the same for two, their ids would decide then."""
    return days({"A": 3, "B": 1, "C": 2}[number])


class ShelfMachine(ActingMachine):
    """One location with two medicines; units of the second must keep for a day when they are sold."""

    def __init__(self, books: Books) -> None:
        super().__init__()
        self.books = books

    @initialize()
    def begin(self) -> None:
        self.ids: dict[LotKey, UUID] = {}
        self.books.transaction(self.fill)
        for place in (0, 1):
            for number in "AC":
                self.receive(place, number, 4, 0)
        self.everything_is_as_the_model_counts()

    async def fill(self, connection: AsyncConnection) -> None:
        """Makes the place and its model."""
        self.location = await add_location(connection)
        self.skus = [await add_medicine(connection, min_remaining_shelf_days=keep) for keep in (0, 1)]
        self.model = StockModel(today(), dict(zip(self.skus, (0, 1), strict=True)))

    def told(self, work: Awaitable[Any]) -> tuple[str, Any]:
        """Returns why the service refused, and what it answered."""
        if today() != self.model.today:
            reject()
        try:
            return "", self.books.run(work)
        except GalenError as error:
            return error.reason, None

    def expected(self, work: Callable[[], None]) -> str:
        try:
            work()
        except Refused as refused:
            return refused.reason
        return ""

    def lot(self, place: int) -> LotKey:
        return self.places()[place % len(self.ids)]

    def places(self) -> list[LotKey]:
        """Returns all lots in an order that does not depend on what their SKUs happen to be: a failure must be found again."""
        return sorted(self.ids, key=lambda lot: (self.skus.index(lot[0]), *lot[1:]))

    @act(place=which, number=numbers, quantity=units, other_day=st.sampled_from([0, 0, 0, 10, -4]))
    def receive(self, place: int, number: str, quantity: int, other_day: int) -> None:
        sku, expires_on = self.skus[place % 2], expiry(number) + timedelta(days=other_day)
        reason, stored = self.told(self.books.lots.receive(Delivery(self.location, sku, number, expires_on, quantity), key()))
        lot_id = stored.lot.id if stored else None
        assert reason == self.expected(lambda: self.model.receive(lot_id, sku, number, expires_on, quantity))

    @act(when=lambda machine: machine.ids, place=which, delta=st.integers(-4, 3), stale=st.sampled_from([0, 0, 0, 1]))
    def adjust(self, place: int, delta: int, stale: int) -> None:
        lot = self.lot(place)
        correction = Correction(self.model.lots[lot].units + stale, delta=delta)
        reason, _ = self.told(self.books.lots.adjust(self.location, self.ids[lot], correction, "LOST", key()))
        assert reason == self.expected(lambda: self.model.adjust(lot, correction.expected, delta))

    @act(when=lambda machine: machine.ids, place=which)
    def quarantine(self, place: int) -> None:
        lot = self.lot(place)
        reason, _ = self.told(self.books.lots.quarantine(self.location, self.ids[lot], "damp", key()))
        assert reason == self.expected(lambda: self.model.quarantine(lot))

    @act(when=lambda machine: machine.ids, place=which)
    def make_sellable(self, place: int) -> None:
        lot = self.lot(place)
        reason, _ = self.told(self.books.lots.release(self.location, self.ids[lot], "dry", key()))
        assert reason == self.expected(lambda: self.model.make_sellable(lot))

    @act(place=which, number=numbers, weight=1)
    def recall(self, place: int, number: str) -> None:
        sku = self.skus[place % 2]
        reason, answer = self.told(self.books.recalls.recall(sku, number, "glass", key()))
        assert reason == self.expected(lambda: self.model.recall(sku, number))
        if answer:
            self.recalled(answer, sku, number)

    def recalled(self, answer: Recall, sku: str, number: str) -> None:
        """Looks at what else came of it."""

    @act(ahead=st.integers(0, 2), weight=1)
    def days_pass_for_lots(self, ahead: int) -> None:
        self.told(self.books.expire.expire_lots(days(ahead)))
        self.model.expire_lots(ahead)

    @invariant()
    def everything_is_as_the_model_counts(self) -> None:
        if hasattr(self, "model"):
            self.compare_all()

    def compare_all(self) -> None:
        self.books.transaction(self.compare)

    async def compare(self, connection: AsyncConnection) -> None:
        assert await broken_rules(connection, self.location) == []
        here = {"location": self.location}
        levels = await connection.exec_driver_sql("select sku, on_hand, reserved from stock_level where location_id = %(location)s", here)
        found = {row.sku: (row.on_hand, row.reserved) for row in levels}
        for sku in self.skus:
            assert found.get(sku, (0, 0)) == (self.model.on_hand(sku), self.model.reserved(sku))
        lots = (await connection.exec_driver_sql("select * from stock_lot where location_id = %(location)s", here)).all()
        self.ids = {(row.sku, row.lot_number, row.origin): row.lot_id for row in lots}
        assert {(row.sku, row.lot_number, row.origin): (row.on_hand, row.state, row.expires_on) for row in lots} == {
            lot: (one.units, one.state, one.expires_on) for lot, one in self.model.lots.items()
        }
        await self.compare_holds(connection, here)

    async def compare_holds(self, connection: AsyncConnection, here: dict[str, str]) -> None:
        states = await connection.exec_driver_sql("select reservation_id, state from reservation where location_id = %(location)s", here)
        assert {row.reservation_id: row.state for row in states} == {hold_id: hold.state for hold_id, hold in self.model.holds.items()}
        bound = await connection.exec_driver_sql(
            """select b.reservation_id, b.sku, t.lot_number, b.quantity, b.returned_quantity
               from reservation_lot b join stock_lot t using (lot_id) where t.location_id = %(location)s""",
            here,
        )
        assert {(row.reservation_id, (row.sku, row.lot_number, SUPPLY)): (row.quantity, row.returned_quantity) for row in bound} == {
            (hold_id, lot): (count, hold.returned[lot]) for hold_id, hold in self.model.holds.items() for lot, count in hold.bound.items()
        }
