"""Orders and what they are paid with, counted in plain Python from the table of the status machine; their stock is that of the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from tests.orders.stock_model import COMMITTED, HELD, RELEASED, LotKey, Refused, StockModel
from tests.orders.stock_model import EXPIRED as RAN_OUT

PENDING_PAYMENT, UNDER_REVIEW, PAID, PREPARING = "PENDING_PAYMENT", "UNDER_REVIEW", "PAID", "PREPARING"
READY, SHIPPED, COMPLETED = "READY", "SHIPPED", "COMPLETED"
CANCELLED, EXPIRED, RETURNED = "CANCELLED", "EXPIRED", "RETURNED"

# What a card does when it is charged.
PAYS, DECLINES, ASKS_THE_PAYER = "pays", "declines", "asks the payer"
# How a payment stands that is neither over nor through: the payer has to do something; they have, and nobody told us; it is set aside.
WAITS, DONE_UNHEARD, SET_ASIDE, TAKEN = "waits", "done, unheard", "set aside", "taken"


@dataclass
class ModelPayment:
    """The live payment of an order: `card` and `points` in the smallest unit."""

    card: int
    points: int
    standing: str


@dataclass
class ModelOrder:
    """An order of the one customer. `ending` is what it becomes once the provider, which was away, has agreed."""

    lines: dict[str, int]
    total: int
    delivery: bool
    on_prescription: bool
    state: str = PENDING_PAYMENT
    ending: str = ""
    payment: ModelPayment | None = None
    overdue: bool = False
    told: set[tuple[str, str]] = field(default_factory=set)


class OrderModel(StockModel):
    """`prices` has those of all SKUs; units of `on_prescription` need the one prescription, which `uses_max` orders may use."""

    def __init__(self, today: date, min_days: Mapping[str, int], prices: Mapping[str, int], on_prescription: str, uses_max: int) -> None:
        super().__init__(today, min_days)
        self.prices = prices
        self.on_prescription = on_prescription
        self.uses_max = uses_max
        self.orders: dict[UUID, ModelOrder] = {}

    @property
    def uses(self) -> int:
        """Orders that count on the prescription: all that have not ended unfulfilled."""
        return sum(one.on_prescription and one.state not in (CANCELLED, EXPIRED) for one in self.orders.values())

    @property
    def kept(self) -> tuple[int, int]:
        """Money and points that were taken and not given back: those of orders that are paid, to the last unit."""
        paid = (PAID, PREPARING, READY, SHIPPED, COMPLETED)
        payments = [one.payment for one in self.orders.values() if one.state in paid and one.payment]
        return sum(one.card for one in payments), sum(one.points for one in payments)

    @property
    def unheard(self) -> int:
        """Money that the provider has taken and nobody told us of."""
        payments = [one.payment for one in self.orders.values() if one.payment and not one.on_prescription]
        return sum(one.card for one in payments if one.standing == DONE_UNHEARD)

    def check_new(self, lines: Mapping[str, int]) -> None:
        """Raises what a new order with these lines is refused for."""
        for sku, asked in lines.items():
            if sum(self.lots[key].units for key in self.sellable(sku)) - self.reserved(sku) < asked:
                raise Refused("INSUFFICIENT_STOCK")
        if self.on_prescription in lines and self.uses == self.uses_max:
            raise Refused("PRESCRIPTION_USED_UP")

    def create(self, order_id: UUID, lines: dict[str, int], *, delivery: bool) -> None:
        self.reserve(order_id, lines, overdue=False)
        total = sum(self.prices[sku] * quantity for sku, quantity in lines.items())
        self.orders[order_id] = ModelOrder(dict(lines), total, delivery, self.on_prescription in lines)

    def pay(self, order_id: UUID, points: int, card: str) -> None:
        order = self.orders[order_id]
        self._must_be_in(order, PENDING_PAYMENT)
        self._must_not_end(order)
        if order.payment:
            raise Refused("PAYMENT_UNDER_WAY")
        share = order.total - points
        if share and card == DECLINES:
            return
        order.payment = ModelPayment(share, points, WAITS)
        if not share or card == PAYS:
            self._paid(order_id)

    def confirm(self, order_id: UUID, *, heard: bool) -> None:
        """The payer does what the bank asked for; the order's payment waits for it."""
        order = self.orders[order_id]
        assert order.payment
        if not heard:
            order.payment.standing = DONE_UNHEARD
        elif order.ending and order.on_prescription:
            order.payment = None  # only set aside, and we no longer want it
        else:
            self._paid(order_id)

    def approve(self, order_id: UUID) -> None:
        order = self.orders[order_id]
        self._must_be_in(order, UNDER_REVIEW)
        self._must_not_end(order)
        self._sell(order_id)

    def reject(self, order_id: UUID, *, away: bool) -> None:
        self._must_be_in(self.orders[order_id], UNDER_REVIEW)
        self._turns_out_paid(order_id, CANCELLED, away=away)

    def cancel(self, order_id: UUID, *, by_staff: bool, away: bool) -> None:
        order = self.orders[order_id]
        allowed = (PENDING_PAYMENT, PAID, *((PREPARING, READY) if by_staff else ()))
        self._must_be_in(order, *allowed)
        if order.state == PENDING_PAYMENT and not self._turns_out_paid(order_id, CANCELLED, away=away):
            return
        self._must_be_in(order, *allowed)
        self.end(order_id, CANCELLED)

    def time_passes(self, order_id: UUID, *, away: bool) -> None:
        """The order's time is over, and the sweeper comes by."""
        order = self.orders[order_id]
        if order.state in (PENDING_PAYMENT, UNDER_REVIEW) and not order.ending:
            self._turns_out_paid(order_id, EXPIRED, away=away)
        elif order.state == SHIPPED:
            order.state = COMPLETED
        elif order.state == READY:
            order.overdue = True
        self.resume(away=away)

    def resume(self, *, away: bool) -> None:
        """The sweeper goes on with what waits for the provider."""
        for each, one in self.orders.items():
            if one.ending:
                self._turns_out_paid(each, one.ending, away=away)

    def start(self, order_id: UUID) -> None:
        self._step(order_id, PAID, PREPARING)

    def finish(self, order_id: UUID) -> None:
        """With the lots that were bound."""
        self._step(order_id, PREPARING, READY, self._check_packed)

    def send(self, order_id: UUID) -> None:
        """Ships it, or hands it over."""
        self._step(order_id, READY, SHIPPED if self.orders[order_id].delivery else COMPLETED, self._check_packed)

    def return_all(self, order_id: UUID) -> None:
        order = self.orders[order_id]
        self._must_be_in(order, SHIPPED, COMPLETED)
        for sku, quantity in order.lines.items():
            self.take_back(order_id, sku, quantity)
        order.state = RETURNED

    def having(self, sku: str, number: str) -> set[UUID]:
        """Returns the orders that have units of lots with this number."""
        kept = {order_id: self.holds[order_id].bound - self.holds[order_id].returned for order_id in self.orders}
        return {order_id for order_id, lots in kept.items() if any(lot[:2] == (sku, number) for lot in lots)}

    def end(self, order_id: UUID, state: str) -> None:
        """The order ends without being fulfilled: nothing is held, sold, used or taken for it any more."""
        order, hold = self.orders[order_id], self.holds[order_id]
        if hold.state == COMMITTED:
            self.restock(order_id)
        elif hold.state == HELD:
            hold.state = RAN_OUT if state == EXPIRED else RELEASED
        order.state, order.ending, order.payment, order.overdue = state, "", None, False

    def adopt(self, order_id: UUID, state: str) -> None:
        """Of what raced, this came out: one of the states that a waiting order may come to."""
        if state in (CANCELLED, EXPIRED):
            self.end(order_id, state)
        elif state in (PAID, UNDER_REVIEW):
            order = self.orders[order_id]
            order.payment = ModelPayment(order.total, 0, WAITS)
            self._paid(order_id)
            assert order.state == state
        else:
            assert state == PENDING_PAYMENT

    def _paid(self, order_id: UUID) -> None:
        """The money is taken, or set aside if there is a prescription to be looked at."""
        order = self.orders[order_id]
        assert order.payment
        if order.on_prescription:
            order.state, order.payment.standing = UNDER_REVIEW, SET_ASIDE
        else:
            self._sell(order_id)

    def _sell(self, order_id: UUID) -> None:
        """If units are lost all is given back."""
        order = self.orders[order_id]
        assert order.payment
        try:
            self.commit(order_id)
        except Refused:
            self.end(order_id, CANCELLED)
        else:
            order.state, order.ending, order.payment.standing = PAID, "", TAKEN

    def _turns_out_paid(self, order_id: UUID, state: str, *, away: bool) -> bool:
        """Ends the order, unless the provider, which has the last word if it has a share, has taken the money, or is away."""
        order = self.orders[order_id]
        if order.payment and order.payment.card and away:
            order.ending = order.ending or state
        elif order.payment and order.payment.standing == DONE_UNHEARD and not order.on_prescription:
            self._sell(order_id)
            return True
        else:
            self.end(order_id, state)
        return False

    def _step(self, order_id: UUID, source: str, target: str, check: Callable[[Counter[LotKey]], None] | None = None) -> None:
        order = self.orders[order_id]
        self._must_be_in(order, source)
        if check:
            check(self.holds[order_id].bound)
        order.state, order.overdue = target, False

    def _check_packed(self, bound: Counter[LotKey]) -> None:
        if any(not self._may_pack(key, 0) for key in bound):
            raise Refused("LOT_NOT_USABLE")

    def _must_be_in(self, order: ModelOrder, *states: str) -> None:
        if order.state not in states:
            raise Refused("ORDER_STATE")

    def _must_not_end(self, order: ModelOrder) -> None:
        if order.ending:
            raise Refused("OPERATION_PENDING")
