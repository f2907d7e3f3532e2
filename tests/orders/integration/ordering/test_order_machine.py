"""All that can happen to orders and to their stock, in any order, on the real database against a model in plain Python.

That the machine notices what goes wrong is shown by taking rules out of the code, one at a time, and playing what would break them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from psycopg import Error
from sqlalchemy.exc import DBAPIError

from services.orders.adapters.postgres import order_statements, prescriptions, stock_statements
from services.orders.adapters.postgres.payment_transactions import PaymentsToFollow
from services.orders.adapters.postgres.stock import PostgresStock
from services.orders.adapters.postgres.stock_writes import PostgresStockWrite
from services.orders.application.ordering.ports import Verdict
from services.orders.domain.errors import OrderStateRefused
from services.orders.domain.ordering import commands
from services.orders.domain.ordering.model import Order, State
from services.orders.settings import OrdersSettings
from tests.orders.order_machine import STAFF, OrderBooks, OrderMachine
from tests.orders.order_model import ASKS_THE_PAYER, PAYS
from tests.orders.shelf_machine import key
from tests.orders.shop import shop_database

# Nothing is made smaller that fails: that takes longer than a test may.
EFFORT = settings(max_examples=12, stateful_step_count=25, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def books(postgres_server_uri: str, orders_settings: OrdersSettings) -> Iterator[OrderBooks]:
    with shop_database(postgres_server_uri) as (uri, role):
        books = OrderBooks(orders_settings.model_copy(update={"database_uri": uri, "database_role": role}))
        yield books
        books.close()


def test_orders_and_stock_are_what_the_model_counts_whatever_happens(books: OrderBooks) -> None:
    class MachineOfBooks(OrderMachine):
        def __init__(self) -> None:
            super().__init__(books)

    run_state_machine_as_test(MachineOfBooks, settings=EFFORT)


def test_a_cancellation_that_crosses_the_authorisation_gives_up_no_payment_that_the_order_relies_on(
    books: OrderBooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = OrderMachine(books)
    machine.begin()
    order_id = list(machine.model.orders)[UNPAID]
    machine.pay(0, ASKS_THE_PAYER, share=0)
    note = machine.shown(order_id).payment
    assert note is not None
    payment_id = note.id
    arbiter = books.container.arbiter()
    cancel = arbiter.cancel

    async def the_payer_confirms_before(order: Order) -> Verdict:
        if books.banks.of(payment_id).status == "action":
            books.banks.of(payment_id).pay()
            await books.payments.look(payment_id)
        return await cancel(order)

    monkeypatch.setattr(arbiter, "cancel", the_payer_confirms_before)
    with pytest.raises(OrderStateRefused):
        books.run(books.orders.change.request(machine.customer, order_id, commands.cancel(machine.ann, "", ""), key()))

    assert machine.shown(order_id).state is State.UNDER_REVIEW
    assert machine.asked(order_id, commands.approve(STAFF, machine.etag(order_id))) == ""
    machine.settle_down()
    assert machine.shown(order_id).state is State.PAID


# The orders that are there from the beginning, by their place.
READY_TO_SEND, PAID, UNDER_REVIEW, UNPAID = range(4)


def cancel_unpaid(machine: OrderMachine) -> None:
    machine.cancel(UNPAID, by_staff=False, away=False)


def cancel_paid(machine: OrderMachine) -> None:
    machine.cancel(PAID, by_staff=True, away=False)


def sell(machine: OrderMachine) -> None:
    machine.create(2, 0, delivery=False, again=False)
    machine.pay(1, PAYS, share=0)


def pay_and_cancel_and_expire(machine: OrderMachine) -> None:
    for _ in range(5):
        machine.create(1, 0, delivery=False, again=False)
        machine.all_at_once(-1)
        machine.everything_is_as_the_model_counts()


def call_back_what_was_sold(machine: OrderMachine) -> None:
    machine.recall(0, "C")


async def nothing(*_: Any, **__: Any) -> bool:
    return True


UNLOCKED = order_statements._LOCK.removesuffix(" for update")
SELLS_NOTHING = stock_statements.COMMIT.replace("set on_hand = s.on_hand - n.quantity, ", "set on_hand = s.on_hand, ")


@pytest.mark.parametrize(
    ("where", "name", "instead", "script"),
    [
        pytest.param(PostgresStock, "release", nothing, cancel_unpaid, id="a cancelled order frees what it held"),
        pytest.param(prescriptions, "give_back", nothing, cancel_unpaid, id="and gives its prescription back"),
        pytest.param(PaymentsToFollow, "_give_back", nothing, cancel_paid, id="and its money"),
        pytest.param(PostgresStock, "restock", nothing, cancel_paid, id="and puts back what it had bought"),
        pytest.param(stock_statements, "COMMIT", SELLS_NOTHING, sell, id="a sale lowers what is on hand"),
        pytest.param(order_statements, "_LOCK", UNLOCKED, pay_and_cancel_and_expire, id="an order is locked by who changes it"),
        pytest.param(PostgresStockWrite, "announce_recall", nothing, call_back_what_was_sold, id="orders are told of a recall"),
    ],
)
def test_the_machine_notices_when_a_rule_is_missing(
    books: OrderBooks, monkeypatch: pytest.MonkeyPatch, where: Any, name: str, instead: Any, script: Callable[[OrderMachine], None]
) -> None:
    def play() -> None:
        script(machine)
        machine.everything_is_as_the_model_counts()

    machine = OrderMachine(books)
    machine.begin()
    play()
    machine = OrderMachine(books)
    machine.begin()
    assert getattr(where, name) != instead
    monkeypatch.setattr(where, name, instead)
    with pytest.raises((AssertionError, DBAPIError, Error)):
        play()
