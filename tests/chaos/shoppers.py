"""People who order, pay, change their minds and bring things back, by chance; what gets no answer they ask again, as apps do."""

from __future__ import annotations

import asyncio
import random
from collections import Counter as Tally
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import grpc
from galen.orders.v1 import order_pb2, order_service_pb2, payment_pb2
from galen.orders.v1 import payment_service_pb2 as messages
from galen.orders.v1.order_pb2 import Order
from galen.orders.v1.payment_service_pb2_grpc import PaymentServiceStub

from tests.orders.counter import order_id, scans_of
from tests.orders.orders_client import Orders, line
from tests.orders.till import Till
from tests.orders.world import new_customer

if TYPE_CHECKING:
    from galen.orders.v1.payment_service_pb2_grpc import PaymentServiceAsyncStub

T = TypeVar("T")
# It may have happened, or may come about: asked again with the same request_id.
AGAIN = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED})
# Nobody is ever told such a thing.
NEVER = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS, grpc.StatusCode.UNAUTHENTICATED})
PATIENCE_S = 20.0
CARDS = (
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_visa",
    "pm_card_chargeDeclined",
    "pm_card_threeDSecure2Required",
    "pm_card_processing",
    "",
)
POINTS = 3000


@dataclass(frozen=True)
class Market:
    """Where all of them shop. `till` is for what no app does; calls go to `channel`, whose server is killed now and then."""

    till: Till
    channel: grpc.aio.Channel
    skus: tuple[str, ...]
    rx_skus: tuple[str, ...]
    tally: Tally[str] = field(default_factory=Tally)

    def person(self, *roles: str) -> Orders:
        person_id = new_customer()
        return Orders(self.channel, person_id, self.till.identities.customer(person_id, roles=("customer", *roles)))


class Shopper:
    """Somebody, and whoever serves them."""

    def __init__(self, market: Market, chance: random.Random) -> None:
        self._market = market
        self._till = market.till
        self._chance = chance
        self._customer = market.person()
        self._staff, self._pharmacist = market.person("staff"), market.person("staff", "pharmacist")
        self._payments: PaymentServiceAsyncStub = PaymentServiceStub(market.channel)

    async def shop(self) -> None:
        """One order, from its beginning to wherever it comes."""
        if self._chance.random() < 0.3:
            self._customer = self._market.person()
        await self._till.give_points(self._customer, self._chance.randrange(1, POINTS))
        order = await self._order()
        if order is None:
            return
        for _ in range(self._chance.randrange(1, 3)):
            await asyncio.gather(self._pay(order), self._meanwhile(order))
        for step in (self._review, self._complete, self._change_of_mind):
            if self._chance.random() < 0.8:
                await step(order)

    async def _order(self) -> Order | None:
        rx = self._chance.random() < 0.3
        skus = self._chance.sample(self._market.rx_skus if rx else self._market.skus, k=self._chance.randrange(1, 3))
        prescription = await self._till.counter.prescription(self._customer, *skus) if rx else ""
        lines = [line(sku, self._chance.randrange(1, 4), prescription) for sku in skus]
        location, request_id = self._till.counter.location, str(uuid4())
        return await self._patiently("order", lambda: self._customer.create(*lines, location=location, request_id=request_id))

    async def _pay(self, order: Order) -> None:
        payable = order.totals.payable.amount_minor
        method = self._chance.choice(("CARD", "CARD", "POINTS", "MIXED"))
        card = "" if method == "POINTS" else self._chance.choice(CARDS)
        request = messages.StartPaymentRequest(
            order=order.name,
            method=payment_pb2.PaymentMethod.Value(f"PAYMENT_METHOD_{method}"),
            points_minor=self._chance.randrange(1, payable) if method == "MIXED" else 0,
            card=card,
            request_id=str(uuid4()),
        )
        started = await self._patiently("pay", lambda: self._payments.StartPayment(request, metadata=self._customer.metadata, timeout=15))
        if started is not None and self._chance.random() < 0.8:
            await self._at_the_provider(order)

    async def _at_the_provider(self, order: Order) -> None:
        """What the payer's browser does there."""
        for intent in self._till.simulator.intents(order_id=str(order_id(order))):
            await asyncio.sleep(self._chance.uniform(0, 0.3))
            if intent["status"] == "requires_action":
                await self._till.simulator.complete_action(intent["id"], succeeded=self._chance.random() < 0.8)
            elif intent["status"] == "requires_payment_method":
                await self._till.simulator.confirm(intent["id"], self._chance.choice(CARDS) or "pm_card_visa")

    async def _meanwhile(self, order: Order) -> None:
        await asyncio.sleep(self._chance.uniform(0, 0.5))
        if self._chance.random() < 0.1:
            await self._act(self._customer, "CancelOrder", order)
        elif self._chance.random() < 0.05:
            await self._till.counter.due(order)

    async def _review(self, order: Order) -> None:
        found = await self._found(order)
        if found is not None and found.state == order_pb2.ORDER_STATE_UNDER_REVIEW:
            approves = self._chance.random() < 0.8
            await self._act(
                self._pharmacist, "ApproveOrder" if approves else "RejectOrder", found, **({} if approves else {"reason": "illegible"})
            )
            await asyncio.sleep(self._chance.uniform(0, 1))

    async def _complete(self, order: Order) -> None:
        found = await self._found(order)
        if found is None or found.state != order_pb2.ORDER_STATE_PAID:
            return
        found = await self._act(self._staff, "StartPreparing", found)
        if found is not None:
            found = await self._act(self._pharmacist, "FinishPreparing", found, scans=scans_of(found))
        shown = await self._found(order)
        if found is not None and shown is not None:
            await self._act(self._staff, "HandOverOrder", found, pickup_code=shown.pickup_code)

    async def _change_of_mind(self, order: Order) -> None:
        match self._chance.randrange(5):
            case 0:
                await self._act(self._customer, "CancelOrder", order)
            case 1:
                await self._bring_back(order)
            case 2:
                await asyncio.gather(*(self._give_back(order, amount_minor=self._chance.randrange(1, 2000)) for _ in range(2)))
            case 3:
                await asyncio.gather(self._give_back(order, lines=self._some(order)), self._bring_back(order))
            case _:
                await self._give_back(order)

    def _some(self, order: Order) -> list[messages.RefundLine]:
        return [messages.RefundLine(sku=one.sku, quantity=self._chance.randint(1, one.quantity)) for one in order.lines[:1]]

    async def _bring_back(self, order: Order) -> None:
        lines = [order_service_pb2.ReturnedUnits(sku=one.sku, quantity=self._chance.randint(1, one.quantity)) for one in order.lines]
        for _ in range(3):  # its points may come between reading and returning
            found = await self._found(order)
            if found is None or await self._act(self._staff, "AcceptReturn", found, lines=lines, reason="leaks") is not None:
                return

    async def _give_back(self, order: Order, **fields: Any) -> None:
        request = messages.CreateRefundRequest(order=order.name, reason="was broken", request_id=str(uuid4()), **fields)
        await self._patiently("refund", lambda: self._payments.CreateRefund(request, metadata=self._staff.metadata, timeout=15))

    async def _found(self, order: Order) -> Order | None:
        return await self._patiently("read", lambda: self._customer.get(order.name))

    async def _act(self, who: Orders, method: str, order: Order, **fields: Any) -> Order | None:
        request_id = str(uuid4())
        if method == "CancelOrder":
            fields = {"etag": "", **fields}
        return await self._patiently(method, lambda: who.act(method, order, request_id=request_id, **fields))

    async def _patiently(self, what: str, ask: Callable[[], Awaitable[T]]) -> T | None:
        """Returns None if it was refused, or nobody could be asked for long."""
        end = asyncio.get_running_loop().time() + PATIENCE_S
        while asyncio.get_running_loop().time() < end:
            try:
                answer = await ask()
            except grpc.aio.AioRpcError as error:
                if error.code() in NEVER:
                    raise AssertionError(f"{what} was answered with {error.code()}: {error.details()}") from error
                if error.code() not in AGAIN:
                    self._market.tally[f"{what} refused"] += 1
                    return None
                self._market.tally[f"{what} again"] += 1
                await asyncio.sleep(self._chance.uniform(0.1, 0.5))
            else:
                self._market.tally[what] += 1
                return answer
        return None
