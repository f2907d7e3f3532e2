"""All that can happen to stock, in any order, on the real database against a model in plain Python.

After every step the answers, the levels, the lots and what is bound are those of the model, and everything adds up. That the machine
notices what goes wrong is shown by taking rules out of the statements, one at a time, and playing what would break them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test
from psycopg import Error
from sqlalchemy.exc import DBAPIError

from services.orders.adapters.postgres import stock_statements
from services.orders.adapters.postgres.stock import PostgresStock
from services.orders.adapters.postgres.tables import SCHEMA
from services.orders.application.inventory.stock import Cause
from shared.errors import GalenError
from shared.postgres.conninfo import service_conninfo
from tests.orders.acting_machine import act
from tests.orders.shelf_machine import Books, ShelfMachine, numbers, units, which
from tests.orders.stock_model import COMMITTED, EXPIRED, RELEASED, SUPPLY

EFFORT = settings(max_examples=10, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
CAUSE = Cause("customers/ann", "orders/1")


class StockMachine(ShelfMachine):
    """Stock as orders use it, with reservations of no order."""

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

    def hold(self, place: int) -> UUID:
        return list(self.model.holds)[place % len(self.model.holds)]

    @act(first=st.integers(0, 4), second=st.integers(0, 3), overdue=st.booleans())
    def reserve(self, first: int, second: int, overdue: bool) -> None:
        lines = {sku: asked for sku, asked in zip(self.skus, (first, second), strict=True) if asked}
        if not lines:
            return
        hold_id, expires_at = uuid4(), datetime.now(UTC) + timedelta(hours=-1 if overdue else 1)
        reason = self.in_stock(
            lambda stock: stock.reserve(hold_id, self.location, lines, order_id=None, expires_at=expires_at, cause=CAUSE)
        )
        assert reason == self.expected(lambda: self.model.reserve(hold_id, lines, overdue))

    @act(when=lambda machine: machine.model.holds, place=which)
    def commit(self, place: int) -> None:
        hold = self.hold(place)
        assert self.in_stock(lambda stock: stock.commit(hold, CAUSE)) == self.expected(lambda: self.model.commit(hold))

    @act(when=lambda machine: machine.model.holds, place=which, state=st.sampled_from([RELEASED, EXPIRED]))
    def cancel_or_expire(self, place: int, state: str) -> None:
        hold = self.hold(place)
        reason = self.in_stock(lambda stock: stock.release(hold, CAUSE, expired=state == EXPIRED))
        assert reason == self.expected(lambda: self.model.release(hold, state))

    @act()
    def time_passes_for_holds(self) -> None:
        self.told(self.books.sweeps.expire_reservations(1000))
        self.model.expire_holds()

    @act(when=lambda machine: machine.model.holds, place=which)
    def restock(self, place: int) -> None:
        hold = self.hold(place)
        assert self.in_stock(lambda stock: stock.restock(hold, CAUSE)) == self.expected(lambda: self.model.restock(hold))

    @act(when=lambda machine: machine.out(), place=which, first=numbers, second=numbers, split=st.integers(0, 4))
    def swap(self, place: int, first: str, second: str, split: int) -> None:
        hold, sku = self.out()[place % len(self.out())]
        asked = self.model.holds[hold].lines[sku]
        packed = {number: part for number, part in ((first, min(split, asked)), (second, asked - split)) if part > 0}
        if self.model.holds[hold].returned or first == second or sum(packed.values()) != asked:
            return
        reason = self.in_stock(lambda stock: stock.swap(hold, {sku: packed}, CAUSE))
        assert reason == self.expected(lambda: self.model.swap(hold, sku, packed))

    @act(when=lambda machine: machine.out(), place=which)
    def dispatch(self, place: int) -> None:
        hold, _ = self.out()[place % len(self.out())]
        assert self.in_stock(lambda stock: stock.dispatch(hold, CAUSE)) == self.expected(lambda: self.model.dispatch(hold))

    @act(when=lambda machine: machine.out(), place=which, quantity=units)
    def take_back(self, place: int, quantity: int) -> None:
        hold, sku = self.out()[place % len(self.out())]
        kept = self.model.holds[hold].bound - self.model.holds[hold].returned
        back = min(quantity, sum(count for lot, count in kept.items() if lot[0] == sku))
        if not back:
            return
        assert self.in_stock(lambda stock: stock.take_back(hold, {sku: back}, CAUSE)) == ""
        self.model.take_back(hold, sku, back)

    def out(self) -> list[tuple[UUID, str]]:
        """Returns what was sold: reservations and SKUs."""
        return [(hold_id, sku) for hold_id, hold in self.model.holds.items() if hold.state == COMMITTED for sku in hold.lines]


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
    with pytest.raises((AssertionError, DBAPIError, Error)):
        play()
