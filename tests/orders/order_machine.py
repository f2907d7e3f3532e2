"""What callers, payers, time and staff do to orders at one location, as rules for a state machine; stock goes on as it does.

The use cases are the service's own, on the real database; the customers service, the card provider and the points ledger are in memory.
After every step orders, stock, prescriptions and money are those of the model, and what must always hold is asked of the database itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from hypothesis import strategies as st
from hypothesis.stateful import initialize
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orders.adapters.postgres.tables import SCHEMA
from services.orders.application.ordering.create_order import NewOrder
from services.orders.application.ordering.ports import Recipient
from services.orders.application.payments.start_payment import StartPayment
from services.orders.container import OrdersContainer
from services.orders.domain.etags import etag_of
from services.orders.domain.inventory.model import Recall
from services.orders.domain.ordering import commands
from services.orders.domain.ordering.changes import Command
from services.orders.domain.ordering.creation import Wanted
from services.orders.domain.ordering.model import Contact, DeliveryAddress, Order, Pending, State
from services.orders.domain.ordering.transitions import Caller
from services.orders.domain.payments import starting
from services.orders.domain.payments.model import Method
from services.orders.domain.points.purchase import Earned
from services.orders.settings import OrdersSettings
from shared.errors import GalenError
from shared.postgres.conninfo import service_conninfo
from tests.orders.acting_machine import act
from tests.orders.money_outside import Banks, PointsOfAll
from tests.orders.order_model import (
    ASKS_THE_PAYER,
    COMPLETED,
    DECLINES,
    PAID,
    PAYS,
    PENDING_PAYMENT,
    PREPARING,
    READY,
    TAKEN,
    UNDER_REVIEW,
    WAITS,
    OrderModel,
)
from tests.orders.order_rules import (
    broken_order_rules,
    kept_by_books,
    order_rows,
    recall_jobs,
    told_of_recalls,
    unfinished_payments,
    unfinished_refunds,
)
from tests.orders.shelf_machine import Books, ShelfMachine, key, which
from tests.orders.stock_rows import add_location, add_medicine
from tests.orders.world import add_prescription, new_customer, today

PRICES = (499, 301)
USES_MAX = 3
STAFF = Caller("customers/stan", frozenset({"staff", "pharmacist"}))

seldom = st.sampled_from([False, False, False, True])


class Profiles:
    """`CustomerProfiles`: everybody is known, with every address."""

    async def recipient(self, customer_id: str, address_id: str | None) -> Recipient:
        address = await self.address(customer_id, address_id) if address_id else None
        return Recipient(Contact("Ann", "+353871234567", "ann@example.com"), address)

    async def address(self, customer_id: str, address_id: str) -> DeliveryAddress:
        return DeliveryAddress(f"customers/{customer_id}/addresses/{address_id}", "Ann", "+353", ("1 Main St",), "Dublin", "D1", "IE")


class NoPoints:
    """The accrual service, for which no order is worth any points."""

    async def earned(self, customer_id: str, order_number: str) -> Earned:
        return Earned(0, "")


class OrderBooks(Books):
    """The service, asked from code that is not asynchronous."""

    def __init__(self, settings: OrdersSettings) -> None:
        super().__init__(service_conninfo(settings.database_uri, schema=SCHEMA, role=None))
        self.container = container = OrdersContainer(settings=settings)
        self.banks, self.points = Banks(), PointsOfAll()
        ordering, paying = container.ordering(), container.paying()
        ordering.customers.override(Profiles())
        paying.provider.override(self.banks)
        paying.points.override(self.points)
        container.outside().accrual.override(NoPoints())
        self.orders, self.steps = ordering.use_cases(), ordering.payment_steps()
        self.payments, self.refunds = paying.driver(), paying.refund_driver()
        self.sweeper = container.sweeping().orders()
        self.tell_of_recall = container.inventory().recall_jobs().tell_of_recall
        self.starting = StartPayment(
            paying.starts(),
            paying.records(),
            self.payments,
            paying.identifiers(),
            container.faults(),
            time_to_pay=timedelta(minutes=15),
            patience_s=lambda: 60.0,
            observer=container.payment_metrics(),
        )

    def close(self) -> None:
        self.run(self.container.engine().dispose())
        self.run(self.container.work_engine().dispose())
        super().close()


class OrderMachine(ShelfMachine):
    """One customer, whose one prescription is for the second medicine."""

    books: OrderBooks
    model: OrderModel

    @initialize()
    def begin(self) -> None:
        """There are orders already: a parcel to send, one to prepare, one to review, one to pay."""
        super().begin()
        for first, second, delivery in ((1, 0, True), (2, 0, False), (0, 1, True), (1, 1, False)):
            self.create(first, second, delivery, again=False)
            if delivery or second == 0:
                self.pay(0, PAYS, share=second * 2)
            if delivery and first:
                self.start_preparing(0)
                self.finish_preparing(0)

    async def fill(self, connection: AsyncConnection) -> None:
        self.location, self.customer = await add_location(connection), new_customer()
        self.skus = [
            await add_medicine(connection, min_remaining_shelf_days=keep, rx_required=bool(keep), price_minor=PRICES[keep])
            for keep in (0, 1)
        ]
        self.prescription = await add_prescription(connection, self.customer, self.skus[1:], refills=USES_MAX - 1)
        self.ann = Caller(f"customers/{self.customer}", frozenset({"customer"}))
        prices = dict(zip(self.skus, PRICES, strict=True))
        self.model = OrderModel(today(), dict(zip(self.skus, (0, 1), strict=True)), prices, self.skus[1], USES_MAX)

    def order(self, place: int) -> UUID:
        return list(self.model.orders)[place % len(self.model.orders)]

    def at(self, place: int, state: str) -> UUID:
        """Returns an order in the state, if there is one; if not, most likely what is tried with another is refused."""
        found = [order_id for order_id, one in self.model.orders.items() if one.state == state]
        return found[place % len(found)] if found else self.order(place)

    def asked(self, order_id: UUID, command: Command) -> str:
        """Asks for a change of an order; returns why it was refused."""
        return self.told(self.books.orders.change.request(self.customer, order_id, command, key()))[0]

    def shown(self, order_id: UUID) -> Order:
        order: Order = self.books.run(self.books.orders.read.get(self.customer, order_id, 0))[0]
        return order

    def etag(self, order_id: UUID) -> str:
        return etag_of(self.shown(order_id).version)

    def while_away(self, away: bool, act: Callable[[], str]) -> str:
        self.books.banks.away = away
        try:
            return act()
        finally:
            self.books.banks.away = False

    @act(weight=3, first=st.integers(0, 4), second=st.integers(0, 3), delivery=st.booleans(), again=seldom)
    def create(self, first: int, second: int, delivery: bool, again: bool) -> None:
        lines = {sku: asked for sku, asked in zip(self.skus, (first, second), strict=True) if asked}
        if not lines:
            return
        prescriptions = {self.skus[1]: self.prescription}
        wanted = [Wanted(sku, quantity, prescriptions.get(sku)) for sku, quantity in lines.items()]
        address = (self.customer, str(uuid4())) if delivery else None
        new = NewOrder(self.customer, wanted, address, self.location, "", validate_only=False)
        request = key()
        reason, order = self.told(self.books.orders.create(new, self.ann, request))
        assert reason == self.expected(lambda: self.model.check_new(lines))
        if order is not None:
            self.model.create(order.id, lines, delivery=delivery)
            if again:
                assert self.told(self.books.orders.create(new, self.ann, request))[1].id == order.id

    @act(
        weight=4,
        when=lambda machine: machine.model.orders,
        place=which,
        card=st.sampled_from([PAYS, PAYS, PAYS, DECLINES, ASKS_THE_PAYER, ASKS_THE_PAYER]),
        share=st.integers(0, 3),
    )
    def pay(self, place: int, card: str, share: int) -> None:
        order_id = self.at(place, PENDING_PAYMENT)
        total = self.model.orders[order_id].total
        points = {2: 100, 3: total}.get(share, 0)
        method = Method.CARD if not points else (Method.POINTS if points == total else Method.MIXED)
        wanted = starting.Wanted(method, points, card)
        reason, _ = self.told(self.books.starting.start(self.customer, order_id, wanted, self.ann, key()))
        assert reason == self.expected(lambda: self.model.pay(order_id, points, card))

    @act(when=lambda machine: machine.waiting(), place=which, heard=st.booleans())
    def payer_does_what_the_bank_asked(self, place: int, heard: bool) -> None:
        order_id = self.waiting()[place % len(self.waiting())]
        payment = self.shown(order_id).payment
        assert payment is not None
        self.books.banks.of(payment.id).pay()
        if heard:
            self.books.run(self.books.payments.look(payment.id))
        self.model.confirm(order_id, heard=heard)

    def waiting(self) -> list[UUID]:
        """Returns orders whose payer has to do something."""
        return [order_id for order_id, one in self.model.orders.items() if one.payment and one.payment.standing == WAITS]

    @act(weight=4, when=lambda machine: machine.model.orders, place=which)
    def approve(self, place: int) -> None:
        order_id = self.at(place, UNDER_REVIEW)
        reason = self.asked(order_id, commands.approve(STAFF, self.etag(order_id)))
        if not reason:
            payment = self.shown(order_id).payment
            assert payment is not None
            self.books.run(self.books.payments.drive(payment.id))
        assert reason == self.expected(lambda: self.model.approve(order_id))

    @act(when=lambda machine: machine.model.orders, place=which, away=seldom)
    def turn_down(self, place: int, away: bool) -> None:
        order_id = self.at(place, UNDER_REVIEW)
        command = commands.reject(STAFF, self.etag(order_id), "unreadable")
        assert self.while_away(away, lambda: self.asked(order_id, command)) == self.expected(lambda: self.model.reject(order_id, away=away))

    @act(when=lambda machine: machine.model.orders, place=which, by_staff=st.booleans(), away=seldom)
    def cancel(self, place: int, by_staff: bool, away: bool) -> None:
        order_id = self.order(place)
        command = commands.cancel(STAFF if by_staff else self.ann, self.etag(order_id) if by_staff else "", "not wanted")
        assert self.while_away(away, lambda: self.asked(order_id, command)) == self.expected(
            lambda: self.model.cancel(order_id, by_staff=by_staff, away=away)
        )

    @act(when=lambda machine: machine.model.orders, place=which, away=seldom)
    def time_passes(self, place: int, away: bool) -> None:
        order_id = self.order(place)
        self.let_time_pass(order_id)
        self.while_away(away, lambda: self.told(self.books.sweeper.sweep())[0])
        self.model.time_passes(order_id, away=away)

    def let_time_pass(self, order_id: UUID) -> None:
        async def due(connection: AsyncConnection) -> None:
            await connection.exec_driver_sql(
                "update customer_order set due_at = clock_timestamp() - interval '1 second' where order_id = %s and due_at is not null",
                (order_id,),
            )

        self.books.transaction(due)

    @act(weight=4, when=lambda machine: machine.model.orders, place=which)
    def start_preparing(self, place: int) -> None:
        order_id = self.at(place, PAID)
        reason = self.asked(order_id, commands.start_preparing(STAFF, self.etag(order_id)))
        assert reason == self.expected(lambda: self.model.start(order_id))

    @act(weight=4, when=lambda machine: machine.model.orders, place=which)
    def finish_preparing(self, place: int) -> None:
        order_id = self.at(place, PREPARING)
        order = self.shown(order_id)
        packed = {line.sku: {lot.lot_number: lot.quantity for lot in line.lots} for line in order.lines}
        if order.state is not State.PREPARING:
            packed = {line.sku: {"A": line.quantity} for line in order.lines}
        reason = self.asked(order_id, commands.finish_preparing(STAFF, etag_of(order.version), packed))
        assert reason == self.expected(lambda: self.model.finish(order_id))

    @act(weight=4, when=lambda machine: machine.model.orders, place=which)
    def send(self, place: int) -> None:
        order_id = self.at(place, READY)
        order = self.shown(order_id)
        if self.model.orders[order_id].state not in (READY, PAID, PENDING_PAYMENT):
            return
        ship, hand_over = commands.ship(STAFF, "", "TR-1"), commands.hand_over(STAFF, "", order.pickup_code)
        reason = self.asked(order_id, ship if self.model.orders[order_id].delivery else hand_over)
        assert reason == self.expected(lambda: self.model.send(order_id))

    @act(when=lambda machine: machine.model.orders, place=which)
    def come_back(self, place: int) -> None:
        order_id = self.at(place, COMPLETED)
        units = list(self.model.orders[order_id].lines.items())
        reason = self.asked(order_id, commands.accept_return(STAFF, self.etag(order_id), units, "damaged"))
        assert reason == self.expected(lambda: self.model.return_all(order_id))

    @act(when=lambda machine: machine.unpaid(), place=which)
    def all_at_once(self, place: int) -> None:
        """Payer, customer and sweeper come to an order at the same moment."""
        order_id = self.unpaid()[place % len(self.unpaid())]
        self.let_time_pass(order_id)
        wanted = starting.Wanted(Method.CARD, 0, PAYS)
        calls: list[Awaitable[Any]] = [
            self.books.starting.start(self.customer, order_id, wanted, self.ann, key()),
            self.books.orders.change.request(self.customer, order_id, commands.cancel(self.ann, "", ""), key()),
            self.books.steps.expire(order_id),
        ]

        async def race() -> list[Any]:
            return await asyncio.gather(*calls, return_exceptions=True)

        outcomes = self.books.run(race())
        failures = [one for one in outcomes if isinstance(one, BaseException) and not isinstance(one, GalenError)]
        assert failures == []
        self.settle_down()
        self.told(self.books.sweeper.sweep())
        self.model.resume(away=False)
        self.model.adopt(order_id, self.shown(order_id).state.name)

    def unpaid(self) -> list[UUID]:
        """Returns orders that nobody has begun to pay or to end."""
        here = self.model.orders.items()
        return [order_id for order_id, one in here if one.state == PENDING_PAYMENT and not one.payment and not one.ending]

    def recalled(self, answer: Recall, sku: str, number: str) -> None:
        """The orders that have units of the lot are answered, and told by a job that was left."""
        affected = self.model.having(sku, number)
        assert {one.order_id for one in answer.orders} == affected
        jobs = self.books.transaction(lambda connection: recall_jobs(connection, sku))
        assert len(jobs) == bool(affected)
        for arguments in jobs:
            self.books.run(self.books.tell_of_recall(**arguments))
        for order_id in affected:
            self.model.orders[order_id].told.add((sku, number))

    def settle_down(self) -> None:
        """Does what jobs do in the end: payments and refunds go as far as they can."""
        for payment_id in self.books.transaction(lambda connection: unfinished_payments(connection, self.location)):
            self.books.run(self.books.payments.drive(payment_id))
        for refund_id in self.books.transaction(lambda connection: unfinished_refunds(connection, self.location)):
            self.books.run(self.books.refunds.drive(refund_id))

    def compare_all(self) -> None:
        self.settle_down()
        super().compare_all()
        self.books.transaction(self.compare_orders)
        self.books.transaction(self.compare_money)

    async def compare_orders(self, connection: AsyncConnection) -> None:
        assert await broken_order_rules(connection, self.location) == []
        found = await order_rows(connection, self.location)
        assert {
            order_id: (State(row.state).name, row.pending_operation == Pending.CANCELLING, row.overdue) for order_id, row in found.items()
        } == {order_id: (one.state, bool(one.ending), one.overdue) for order_id, one in self.model.orders.items()}
        told = {(order_id, *lot) for order_id, one in self.model.orders.items() for lot in one.told}
        assert await told_of_recalls(connection, self.location) == told
        uses = await connection.exec_driver_sql("select uses from prescription where prescription_id = %s", (self.prescription,))
        assert uses.scalar_one() == self.model.uses

    async def compare_money(self, connection: AsyncConnection) -> None:
        kept = await kept_by_books(connection, self.location)
        money, points = (sum(amounts[part] for amounts in kept.values()) for part in (0, 1))
        assert (money, points) == self.model.kept
        assert sum(self.books.banks.of(payment).kept_minor for payment in kept) == money + self.model.unheard
        assert sum(self.books.points.kept_minor(payment) for payment in kept) == points
        held = sum(one.payment.points for one in self.model.orders.values() if one.payment and one.payment.standing != TAKEN)
        assert sum(self.books.points.held.get(payment, 0) for payment in kept) == held
