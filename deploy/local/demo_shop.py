"""The second half of `galen demo`: an order with a prescription item, paid by points and card, handed over; then a return."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import grpc
from galen.inventory.v1 import inventory_service_pb2 as stock
from galen.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub
from galen.orders.v1 import catalog_service_pb2 as catalog
from galen.orders.v1 import medicine_pb2, money_pb2, order_pb2, payment_pb2, prescription_pb2
from galen.orders.v1 import order_service_pb2 as orders
from galen.orders.v1 import payment_service_pb2 as payments
from galen.orders.v1 import prescription_service_pb2 as prescriptions
from galen.orders.v1.catalog_service_pb2_grpc import CatalogServiceStub
from galen.orders.v1.order_service_pb2_grpc import OrderServiceStub
from galen.orders.v1.payment_service_pb2_grpc import PaymentServiceStub
from galen.orders.v1.prescription_service_pb2_grpc import PrescriptionServiceStub
from rich.console import Console
from rich.table import Table

from deploy.local.keys import KeyFolder
from shared.money import decimal_text

POINTS_TO_SPEND = 10_000
WAIT_LIMIT_S = 60.0
CALL_LIMIT_S = 10.0
TOKEN_LIFETIME = timedelta(minutes=10)
MAIN = "locations/main"
# What it is called, its price, whether it is on prescription, and how many are bought.
WARES = (("Vitamin D, 60 capsules", 12_50, False, 2), ("Amoxicillin 500 mg, 20 tablets", 240_00, True, 1))


class ShoppingFailed(Exception):
    """Something is not as it should be; the text says what."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who calls: their id and the metadata of their calls."""

    id: str
    metadata: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        return f"customers/{self.id}"


def staff_member(keys: KeyFolder, role: str) -> Person:
    """Returns somebody of the pharmacy, with a token of the stack's own key."""
    person_id = str(uuid4())
    token = keys.mint_for_person(person_id, ["customer", role], TOKEN_LIFETIME)
    return Person(person_id, (("authorization", f"Bearer {token}"),))


class Shopping:
    """One order, from the shelf to the counter and back."""

    def __init__(self, channel: grpc.aio.Channel, keys: KeyFolder, customer: Person, console: Console) -> None:
        self._catalog: Any = CatalogServiceStub(channel)
        self._stock: Any = InventoryServiceStub(channel)
        self._prescriptions: Any = PrescriptionServiceStub(channel)
        self._orders: Any = OrderServiceStub(channel)
        self._payments: Any = PaymentServiceStub(channel)
        self._customer = customer
        self._staff = staff_member(keys, "staff")
        self._pharmacist = staff_member(keys, "pharmacist")
        self._console = console
        self._skus = [f"DEMO-{secrets.token_hex(4).upper()}" for _ in WARES]

    async def run(self) -> None:
        """Raises ShoppingFailed, grpc.aio.AioRpcError."""
        await self._fill_the_shelves()
        order = await self._order()
        payment = await self._pay(order)
        await self._review(order, payment)
        await self._prepare(order)
        await self._hand_over(order)
        await self._see_points(order)
        await self._give_back(order)

    async def _fill_the_shelves(self) -> None:
        self._step("The pharmacy lists two medicines, one on prescription only, and puts them on the shelf")
        last_day = (datetime.now(UTC) + timedelta(days=365)).date()
        for sku, (name, price, rx_required, _) in zip(self._skus, WARES, strict=True):
            medicine = medicine_pb2.Medicine(
                sku=sku, display_name=name, price=money_pb2.Money(currency_code="EUR", amount_minor=price), rx_required=rx_required
            )
            await self._call(self._catalog.CreateMedicine, catalog.CreateMedicineRequest(medicine=medicine), self._staff)
            lot = stock.ReceiveLotRequest(parent=MAIN, sku=sku, lot_number="L-1", quantity=10, expire_date=_date(last_day))
            await self._call(self._stock.ReceiveLot, lot, self._staff)

    async def _order(self) -> order_pb2.Order:
        self._step("The customer records a prescription and orders both")
        today = datetime.now(UTC).date()
        paper = prescription_pb2.Prescription(
            number=secrets.token_hex(4), prescriber="Dr. Quinn", issue_date=_date(today), skus=[self._skus[1]]
        )
        recording = prescriptions.CreatePrescriptionRequest(parent=self._customer.name, prescription=paper)
        prescription = (await self._call(self._prescriptions.CreatePrescription, recording, self._customer)).prescription
        lines = [
            orders.NewOrderLine(sku=sku, quantity=quantity, prescription=prescription.name if rx_required else "")
            for sku, (_, _, rx_required, quantity) in zip(self._skus, WARES, strict=True)
        ]
        made = await self._call(
            self._orders.CreateOrder, orders.CreateOrderRequest(parent=self._customer.name, lines=lines), self._customer
        )
        order: order_pb2.Order = made.order
        self._say(f"order {order.order_number}, {_money(order.totals.payable)}, {_state(order)}")
        return order

    async def _pay(self, order: order_pb2.Order) -> payment_pb2.Payment:
        self._step(f"They pay {decimal_text(POINTS_TO_SPEND)} of it by points and the rest by card")
        request = payments.StartPaymentRequest(
            order=order.name, method=payment_pb2.PAYMENT_METHOD_MIXED, points_minor=POINTS_TO_SPEND, card="pm_card_visa"
        )
        payment: payment_pb2.Payment = (await self._call(self._payments.StartPayment, request, self._customer)).payment
        self._say(f"payment {payment_pb2.PaymentState.Name(payment.state).removeprefix('PAYMENT_STATE_')}")
        await self._until(order, order_pb2.ORDER_STATE_UNDER_REVIEW)
        return payment

    async def _review(self, order: order_pb2.Order, payment: payment_pb2.Payment) -> None:
        self._step("A pharmacist looks at the prescription; only then the card is charged")
        approving = orders.ApproveOrderRequest(name=order.name, etag=(await self._read(order)).etag)
        await self._call(self._orders.ApproveOrder, approving, self._pharmacist)
        await self._until(order, order_pb2.ORDER_STATE_PAID)

        async def is_captured() -> bool:
            asked = payments.GetPaymentRequest(name=payment.name)
            found = (await self._payments.GetPayment(asked, metadata=self._customer.metadata, timeout=CALL_LIMIT_S)).payment
            return bool(found.state == payment_pb2.PAYMENT_STATE_CAPTURED)

        await self._wait(is_captured, "the payment was not captured")

    async def _prepare(self, order: order_pb2.Order) -> None:
        self._step("It is prepared: somebody packs, a pharmacist checks every box against the lot that was bound")
        starting = orders.StartPreparingRequest(name=order.name, etag=(await self._read(order)).etag)
        started = (await self._call(self._orders.StartPreparing, starting, self._staff)).order
        scans = [
            orders.ScannedUnits(sku=line.sku, lot_number=lot.lot_number, quantity=lot.quantity)
            for line in started.lines
            for lot in line.lots
        ]
        finishing = orders.FinishPreparingRequest(name=order.name, etag=started.etag, scans=scans)
        await self._call(self._orders.FinishPreparing, finishing, self._pharmacist)

    async def _hand_over(self, order: order_pb2.Order) -> None:
        ready = await self._read(order)
        self._step(f"At the counter the customer says the pickup code [cyan]{ready.pickup_code}[/]")
        handing = orders.HandOverOrderRequest(name=order.name, etag=ready.etag, pickup_code=ready.pickup_code)
        await self._call(self._orders.HandOverOrder, handing, self._staff)

    async def _see_points(self, order: order_pb2.Order) -> None:
        self._step("The purchase goes to the accrual system by itself, and the order shows what it earned")

        async def are_known() -> bool:
            return (await self._read(order)).earned_points.state in (
                order_pb2.EARNED_POINTS_STATE_GRANTED,
                order_pb2.EARNED_POINTS_STATE_NONE,
            )

        await self._wait(are_known, "the points of the order are not known")
        self._say(f"{decimal_text((await self._read(order)).earned_points.points_minor)} points")

    async def _give_back(self, order: order_pb2.Order) -> None:
        self._step(f"One {WARES[0][0]} comes back: into quarantine, its share to card and points, and what it earned is taken back")
        returned = [orders.ReturnedUnits(sku=self._skus[0], quantity=1)]
        request = orders.AcceptReturnRequest(name=order.name, etag=(await self._read(order)).etag, lines=returned, reason="not needed")
        await self._call(self._orders.AcceptReturn, request, self._staff)
        await self._wait(lambda: self._is_refunded(order), "the refund did not come through")
        (refund,) = await self._refunds(order)
        table = Table("Given back", "Card", "Points", "Earned points taken back")
        taken_back = decimal_text(refund.points_taken_back_minor)
        table.add_row(_money(refund.amount), _money(refund.card_amount), decimal_text(refund.points_minor), taken_back)
        self._console.print(table)
        if refund.amount.amount_minor != WARES[0][1]:
            raise ShoppingFailed(f"{_money(refund.amount)} was given back for one {WARES[0][0]}")

    async def _is_refunded(self, order: order_pb2.Order) -> bool:
        return [refund.state for refund in await self._refunds(order)] == [payment_pb2.REFUND_STATE_SUCCEEDED]

    async def _refunds(self, order: order_pb2.Order) -> list[payment_pb2.Refund]:
        asked = payments.ListRefundsRequest(parent=order.name)
        return list((await self._payments.ListRefunds(asked, metadata=self._customer.metadata, timeout=CALL_LIMIT_S)).refunds)

    async def _read(self, order: order_pb2.Order) -> order_pb2.Order:
        asked = orders.GetOrderRequest(name=order.name)
        found: order_pb2.Order = (await self._orders.GetOrder(asked, metadata=self._customer.metadata, timeout=CALL_LIMIT_S)).order
        return found

    async def _until(self, order: order_pb2.Order, state: order_pb2.OrderState.ValueType) -> None:
        async def is_there() -> bool:
            return bool((await self._read(order)).state == state)

        await self._wait(is_there, f"the order did not become {order_pb2.OrderState.Name(state)}")
        self._say(f"order {_state(await self._read(order))}")

    async def _wait(self, is_so: Callable[[], Awaitable[bool]], otherwise: str) -> None:
        give_up = time.monotonic() + WAIT_LIMIT_S
        while not await is_so():
            if time.monotonic() > give_up:
                raise ShoppingFailed(otherwise)
            await asyncio.sleep(0.2)

    async def _call(self, method: Any, request: Any, who: Person) -> Any:
        request.request_id = str(uuid4())
        answer = await method(request, metadata=who.metadata, timeout=CALL_LIMIT_S)
        name = type(request).__name__.removesuffix("Request")
        self._console.print(f"   {name} -> [bold]OK[/]{_outcome(answer)}", highlight=False)
        return answer

    def _say(self, text: str) -> None:
        self._console.print(f"   [dim]{text}[/]", highlight=False)

    def _step(self, text: str) -> None:
        self._console.print(f"[bold]»[/] {text}")


def _outcome(answer: Any) -> str:
    return f" [dim]order {_state(answer.order)}[/]" if "order" in answer.DESCRIPTOR.fields_by_name else ""


def _state(order: order_pb2.Order) -> str:
    return order_pb2.OrderState.Name(order.state).removeprefix("ORDER_STATE_")


def _money(money: money_pb2.Money) -> str:
    return f"{decimal_text(money.amount_minor)} {money.currency_code}"


def _date(day: date) -> dict[str, int]:
    """What the constructors of messages take for a google.type.Date."""
    return {"year": day.year, "month": day.month, "day": day.day}
