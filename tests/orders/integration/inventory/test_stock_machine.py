"""All that can happen to stock, in any order, on the real database against a model in plain Python.

After every step the answers, the levels, the lots and what is bound are those of the model, and everything adds up. That the machine
notices what goes wrong is shown by taking rules out of the statements, one at a time, and playing what would break them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import uvloop
from hypothesis import HealthCheck, reject, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orders.adapters.postgres import stock_statements
from services.orders.adapters.postgres.stock import PostgresStock
from services.orders.adapters.postgres.stock_sweeps import PostgresStockSweeps
from services.orders.adapters.postgres.tables import SCHEMA
from services.orders.application.inventory.expire import ExpireLots
from services.orders.application.inventory.keep_lots import KeepLots
from services.orders.application.inventory.recall_lot import RecallLot
from services.orders.application.inventory.stock import Cause
from services.orders.domain.inventory.lots import Correction, Delivery
from shared.clock import SystemClock
from shared.errors import GalenError
from shared.postgres.conninfo import service_conninfo
from shared.postgres.engine import make_engine
from shared.requests import RequestKey
from tests.orders.integration.inventory.conftest import stock_writes
from tests.orders.stock_model import COMMITTED, EXPIRED, RELEASED, SUPPLY, LotKey, Refused, StockModel
from tests.orders.stock_rows import add_location, add_medicine, broken_rules, days
from tests.orders.world import today

EFFORT = settings(max_examples=10, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
CAUSE = Cause("customers/ann", "orders/1")

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


class StockMachine(RuleBasedStateMachine):
    """One location with two medicines; units of the second must keep for a day when they are sold."""

    def __init__(self, books: Books) -> None:
        super().__init__()
        self.books = books

    @initialize()
    def begin(self) -> None:
        async def add(connection: AsyncConnection) -> tuple[str, list[str]]:
            return await add_location(connection), [await add_medicine(connection, min_remaining_shelf_days=keep) for keep in (0, 1)]

        self.location, self.skus = self.books.transaction(add)
        self.model = StockModel(today(), dict(zip(self.skus, (0, 1), strict=True)))
        self.ids: dict[LotKey, UUID] = {}
        for place in (0, 1):
            for number in "AC":
                self.receive(place, number, 4, 0)
        self.everything_is_as_the_model_counts()

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

    def in_stock(self, act: Callable[[PostgresStock], Awaitable[Any]]) -> str:
        """Acts in a transaction that goes on after a refusal, and commits."""

        async def work() -> Any:
            async with self.books.engine.begin() as connection:
                try:
                    return "", await act(PostgresStock(connection))
                except GalenError as error:
                    return error.reason, None

        reason: str = self.told(work())[1][0]
        return reason

    def lot(self, place: int) -> LotKey:
        return self.places()[place % len(self.ids)]

    def places(self) -> list[LotKey]:
        """Returns all lots in an order that does not depend on what their SKUs happen to be: a failure must be found again."""
        return sorted(self.ids, key=lambda lot: (self.skus.index(lot[0]), *lot[1:]))

    def hold(self, place: int) -> UUID:
        return list(self.model.holds)[place % len(self.model.holds)]

    @rule(place=which, number=numbers, quantity=units, other_day=st.sampled_from([0, 0, 0, 10, -4]))
    def receive(self, place: int, number: str, quantity: int, other_day: int) -> None:
        sku, expires_on = self.skus[place % 2], expiry(number) + timedelta(days=other_day)
        reason, stored = self.told(self.books.lots.receive(Delivery(self.location, sku, number, expires_on, quantity), key()))
        lot_id = stored.lot.id if stored else None
        assert reason == self.expected(lambda: self.model.receive(lot_id, sku, number, expires_on, quantity))

    @precondition(lambda machine: machine.ids)
    @rule(place=which, delta=st.integers(-4, 3), stale=st.sampled_from([0, 0, 0, 1]))
    def adjust(self, place: int, delta: int, stale: int) -> None:
        lot = self.lot(place)
        correction = Correction(self.model.lots[lot].units + stale, delta=delta)
        reason, _ = self.told(self.books.lots.adjust(self.location, self.ids[lot], correction, "LOST", key()))
        assert reason == self.expected(lambda: self.model.adjust(lot, correction.expected, delta))

    @precondition(lambda machine: machine.ids)
    @rule(place=which)
    def quarantine(self, place: int) -> None:
        lot = self.lot(place)
        reason, _ = self.told(self.books.lots.quarantine(self.location, self.ids[lot], "damp", key()))
        assert reason == self.expected(lambda: self.model.quarantine(lot))

    @precondition(lambda machine: machine.ids)
    @rule(place=which)
    def make_sellable(self, place: int) -> None:
        lot = self.lot(place)
        reason, _ = self.told(self.books.lots.release(self.location, self.ids[lot], "dry", key()))
        assert reason == self.expected(lambda: self.model.make_sellable(lot))

    @rule(place=which, number=numbers, sure=st.sampled_from([True, False, False]))
    def recall(self, place: int, number: str, sure: bool) -> None:
        if not sure:  # seldom: a recalled lot is of no more use
            reject()
        sku = self.skus[place % 2]
        reason, _ = self.told(self.books.recalls.recall(sku, number, "glass", key()))
        assert reason == self.expected(lambda: self.model.recall(sku, number))

    @rule(ahead=st.integers(0, 2), sure=st.sampled_from([True, False, False]))
    def days_pass_for_lots(self, ahead: int, sure: bool) -> None:
        if not sure:
            reject()
        self.told(self.books.expire.expire_lots(days(ahead)))
        self.model.expire_lots(ahead)

    @rule(first=st.integers(0, 4), second=st.integers(0, 3), overdue=st.booleans())
    def reserve(self, first: int, second: int, overdue: bool) -> None:
        lines = {sku: asked for sku, asked in zip(self.skus, (first, second), strict=True) if asked}
        if not lines:
            reject()
        hold_id, expires_at = uuid4(), datetime.now(UTC) + timedelta(hours=-1 if overdue else 1)
        reason = self.in_stock(
            lambda stock: stock.reserve(hold_id, self.location, lines, order_id=None, expires_at=expires_at, cause=CAUSE)
        )
        assert reason == self.expected(lambda: self.model.reserve(hold_id, lines, overdue))

    @precondition(lambda machine: machine.model.holds)
    @rule(place=which)
    def commit(self, place: int) -> None:
        hold = self.hold(place)
        assert self.in_stock(lambda stock: stock.commit(hold, CAUSE)) == self.expected(lambda: self.model.commit(hold))

    @precondition(lambda machine: machine.model.holds)
    @rule(place=which, state=st.sampled_from([RELEASED, EXPIRED]))
    def cancel_or_expire(self, place: int, state: str) -> None:
        hold = self.hold(place)
        reason = self.in_stock(lambda stock: stock.release(hold, CAUSE, expired=state == EXPIRED))
        assert reason == self.expected(lambda: self.model.release(hold, state))

    @rule()
    def time_passes_for_holds(self) -> None:
        self.told(self.books.sweeps.expire_reservations(1000))
        self.model.expire_holds()

    @precondition(lambda machine: machine.model.holds)
    @rule(place=which)
    def restock(self, place: int) -> None:
        hold = self.hold(place)
        assert self.in_stock(lambda stock: stock.restock(hold, CAUSE)) == self.expected(lambda: self.model.restock(hold))

    @precondition(lambda machine: machine.out())
    @rule(place=which, first=numbers, second=numbers, split=st.integers(0, 4))
    def swap(self, place: int, first: str, second: str, split: int) -> None:
        hold, sku = self.out()[place % len(self.out())]
        asked = self.model.holds[hold].lines[sku]
        packed = {number: part for number, part in ((first, min(split, asked)), (second, asked - split)) if part > 0}
        if self.model.holds[hold].returned or first == second or sum(packed.values()) != asked:
            reject()
        reason = self.in_stock(lambda stock: stock.swap(hold, {sku: packed}, CAUSE))
        assert reason == self.expected(lambda: self.model.swap(hold, sku, packed))

    @precondition(lambda machine: machine.out())
    @rule(place=which)
    def dispatch(self, place: int) -> None:
        hold, _ = self.out()[place % len(self.out())]
        assert self.in_stock(lambda stock: stock.dispatch(hold, CAUSE)) == self.expected(lambda: self.model.dispatch(hold))

    @precondition(lambda machine: machine.out())
    @rule(place=which, quantity=units)
    def take_back(self, place: int, quantity: int) -> None:
        hold, sku = self.out()[place % len(self.out())]
        kept = self.model.holds[hold].bound - self.model.holds[hold].returned
        back = min(quantity, sum(count for lot, count in kept.items() if lot[0] == sku))
        if not back:
            reject()
        assert self.in_stock(lambda stock: stock.take_back(hold, {sku: back}, CAUSE)) == ""
        self.model.take_back(hold, sku, back)

    def out(self) -> list[tuple[UUID, str]]:
        """Returns what was sold: reservations and SKUs."""
        return [(hold_id, sku) for hold_id, hold in self.model.holds.items() if hold.state == COMMITTED for sku in hold.lines]

    @invariant()
    def everything_is_as_the_model_counts(self) -> None:
        if hasattr(self, "model"):
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


@pytest.fixture(scope="module")
def books(quiet_database: str) -> Iterator[Books]:
    books = Books(service_conninfo(quiet_database, schema=SCHEMA, role=None))
    yield books
    books.close()


def test_stock_is_what_the_model_counts_whatever_happens(books: Books) -> None:
    class MachineOfBooks(StockMachine):
        def __init__(self) -> None:
            super().__init__(books)

    run_state_machine_as_test(MachineOfBooks, settings=EFFORT)


def sell(machine: StockMachine, units: int = 2, *, overdue: bool = False) -> None:
    machine.reserve(units, 0, overdue)
    machine.commit(0)


def set_aside(machine: StockMachine, number: str) -> None:
    machine.quarantine(machine.places().index((machine.skus[0], number, SUPPLY)))


def more_than_there_is(machine: StockMachine) -> None:
    machine.reserve(9, 0, False)


def sell_what_was_set_aside(machine: StockMachine) -> None:
    set_aside(machine, "C")
    sell(machine)


def sell_what_was_lost(machine: StockMachine) -> None:
    machine.reserve(6, 0, False)
    set_aside(machine, "C")
    machine.commit(0)


def free_twice(machine: StockMachine) -> None:
    machine.reserve(2, 0, False)
    machine.cancel_or_expire(0, RELEASED)
    machine.cancel_or_expire(0, RELEASED)


def put_back_what_was_set_aside(machine: StockMachine) -> None:
    sell(machine)
    set_aside(machine, "C")
    machine.restock(0)


def return_units(machine: StockMachine) -> None:
    sell(machine)
    machine.take_back(0, 1)


def let_what_was_sold_run_out(machine: StockMachine) -> None:
    sell(machine, overdue=True)
    machine.time_passes_for_holds()


@pytest.mark.parametrize(
    ("statement", "rule", "instead", "script"),
    [
        ("RESERVE", ">= k.quantity", "> 0", more_than_there_is),
        ("COMMIT", "order by t.expires_on, t.lot_id", "order by t.expires_on desc, t.lot_id", sell),
        ("COMMIT", "and t.state = 'SELLABLE'", "", sell_what_was_set_aside),
        ("COMMIT", "(select sum(quantity) from line) = (select sum(quantity) from taken)", "true", sell_what_was_lost),
        ("RELEASE", "and state = 'HELD'", "", free_twice),
        ("RESTOCK", "case when t.state = 'SELLABLE' then c.delta else 0 end", "c.delta", put_back_what_was_set_aside),
        ("TAKE_BACK", "else 'QUARANTINED' end", "else 'SELLABLE' end", return_units),
        ("EXPIRE_DUE", "state = 'HELD' and", "", let_what_was_sold_run_out),
    ],
)
def test_the_machine_notices_when_a_rule_is_missing(
    books: Books, monkeypatch: pytest.MonkeyPatch, statement: str, rule: str, instead: str, script: Callable[[StockMachine], None]
) -> None:
    def play() -> None:
        machine = StockMachine(books)
        machine.begin()
        script(machine)
        machine.everything_is_as_the_model_counts()

    play()
    before: str = getattr(stock_statements, statement)
    assert rule in before
    monkeypatch.setattr(stock_statements, statement, before.replace(rule, instead))
    with pytest.raises((AssertionError, DBAPIError)):
        play()
