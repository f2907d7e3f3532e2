"""kill -9 between all steps of paying and giving back: afterwards everything comes to its end as if nothing had happened.

Method: for each place there is an order of its own, and a process that ends itself there in the middle of a call or of its own work. Then
one process is started without that, which finds all those orders and brings them to their end.
"""

from __future__ import annotations

import ast
import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc
import pytest
import pytest_asyncio
from galen.inventory.v1.inventory_service_pb2 import ListLotsRequest, QuarantineLotRequest
from galen.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub
from galen.orders.v1 import payment_pb2
from galen.orders.v1 import payment_service_pb2 as messages
from galen.orders.v1.order_pb2 import Order
from galen.orders.v1.payment_service_pb2_grpc import PaymentServiceStub

from deploy.local.accrual_sim.rewards import RewardType
from services.orders.container import OrdersContainer, service_parts
from services.orders.domain.payments.saga import Step
from services.orders.settings import OrdersSettings
from shared.testing.identities import Identities
from shared.testing.servers import ServedService, free_port, served
from tests.orders.books import account_findings, money_of_books, money_of_provider, stock_differences
from tests.orders.counter import Crew, order_id, state_number
from tests.orders.earning import accrual_served
from tests.orders.orders_client import Orders, line
from tests.orders.orders_process import orders_process
from tests.orders.refunding import completed, give_back
from tests.orders.shop import QUICK
from tests.orders.till import VISA, Till, eventually

if TYPE_CHECKING:
    from galen.inventory.v1.inventory_service_pb2_grpc import InventoryServiceAsyncStub
    from galen.orders.v1.payment_service_pb2_grpc import PaymentServiceAsyncStub

DECLINED = "pm_card_chargeDeclined"
PAYMENTS = Path(__file__).parents[4] / "services" / "orders" / "application" / "payments"
POINTS = 200
# Processes that are started at once.
AT_ONCE = 4
RECOVERY_S = 60.0


def around(step: Step) -> tuple[str, ...]:
    """The places of a step that only we have a part in."""
    return f"payment_before_{step.value}", f"payment_after_{step.value}"


def through(step: Step) -> tuple[str, ...]:
    """The places of a step that asks somebody else: before, when the answer is there, when it is stored."""
    return f"payment_before_{step.value}", f"payment_asked_{step.value}", f"payment_after_{step.value}"


# All places, each by what has to happen for a process to come there.
IN_CALLS = {
    "pay": (
        "payment_started",
        *through(Step.HOLD_POINTS),
        *through(Step.CREATE_INTENT),
        *through(Step.SETTLE_ORDER),
        *through(Step.CAPTURE_POINTS),
        *around(Step.FINISH),
    ),
    "review": around(Step.AUTHORIZE_ORDER),
    "decline": around(Step.GIVE_UP),
    "cancel": (*through(Step.CANCEL_INTENT), *through(Step.RELEASE_POINTS)),
    "lose": around(Step.REFUND_ALL),
}
IN_JOBS = {
    "approve": through(Step.CAPTURE_CARD),
    "lapse": around(Step.LOSE_PAYMENT),
    "refund": ("refund_asked_card", "refund_asked_points", "refund_asked_take_back"),
}


def test_every_place_where_a_process_may_end_is_tried_once() -> None:
    tried = [site for sites in chain(IN_CALLS.values(), IN_JOBS.values()) for site in sites]
    steps = [step for step in Step if step not in (Step.WAIT, Step.DONE)]
    told = {site for file in PAYMENTS.rglob("*.py") for site in _sites(ast.parse(file.read_text()))}

    assert sorted(tried) == sorted({*chain.from_iterable(map(around, steps)), *told})


def _sites(code: ast.AST) -> set[str]:
    """The places that are named in the code; the names of those of `_move` are its last argument."""
    calls = [node for node in ast.walk(code) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    named = {"reach": "", "_move": "payment_asked_"}
    return {
        f"{named[call.func.attr]}{call.args[-1].value!s}"
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr in named and isinstance(call.args[-1], ast.Constant)
    }


@pytest_asyncio.fixture(scope="module")
async def accrual_address(
    postgres_server_uri: str, balance_server: ServedService, identities: Identities, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    address = f"127.0.0.1:{free_port()}"
    folder = tmp_path_factory.mktemp("accrual")
    async with accrual_served(address, postgres_server_uri, balance_server.address, identities, folder) as simulator:
        await simulator.register_reward("Teapot", 7, RewardType.POINTS)
        yield address


@pytest.fixture(scope="module")
def till_settings(till_settings: OrdersSettings, accrual_address: str) -> OrdersSettings:
    """Of the desk, where orders are prepared and looked at: nothing goes on in its background."""
    return till_settings.model_copy(update={**QUICK, "background_work": False, "accrual_address": accrual_address})


@pytest.fixture(scope="module")
def working(till_settings: OrdersSettings) -> OrdersSettings:
    return till_settings.model_copy(update={"background_work": True, "payment_look_every_s": 0.5})


@dataclass(frozen=True)
class Doomed:
    """The order of a customer of its own, and what has to happen for a process to die of it."""

    till: Till
    crew: Crew
    order: Order
    scenario: str
    request_id: str

    @property
    def customer(self) -> Orders:
        return self.crew.customer

    async def pay(self, channel: grpc.aio.Channel, card: str) -> payment_pb2.Payment:
        request = messages.StartPaymentRequest(
            order=self.order.name,
            method=payment_pb2.PAYMENT_METHOD_MIXED,
            points_minor=POINTS,
            card=card,
            request_id=self.request_id,
        )
        stub: PaymentServiceAsyncStub = PaymentServiceStub(channel)
        return (await stub.StartPayment(request, metadata=self.customer.metadata, timeout=30)).payment

    async def call(self, channel: grpc.aio.Channel) -> None:
        """Makes the call in whose course the process dies."""
        if self.scenario == "cancel":
            await Orders(channel, self.customer.id, self.customer.metadata).act(
                "CancelOrder", self.order, etag="", request_id=self.request_id
            )
        else:
            await self.pay(channel, DECLINED if self.scenario == "decline" else VISA)

    async def set_off(self) -> None:
        """Leaves the work that the process dies of."""
        match self.scenario:
            case "approve":
                await self.approve()
            case "lapse":
                (intent,) = self.till.simulator.intents(order_id=str(order_id(self.order)))
                await self.till.simulator.cancel(intent["id"])
            case _:
                await give_back(self.till, self.crew.staff, self.order)

    async def approve(self) -> None:
        await self.crew.pharmacist.act("ApproveOrder", await self.crew.pharmacist.get(self.order.name))

    async def comes_to(self, *states: str) -> None:
        wanted = [state_number(state) for state in states]

        async def has_come() -> bool:
            return (await self.customer.get(self.order.name)).state in wanted

        assert await eventually(has_come, RECOVERY_S), (self.scenario, await self.customer.get(self.order.name))

    async def payments(self) -> Sequence[payment_pb2.Payment]:
        request = messages.ListPaymentsRequest(parent=self.order.name)
        return (await self.till.payments.ListPayments(request, metadata=self.customer.metadata, timeout=20)).payments


async def doomed(till: Till, scenario: str) -> Doomed:
    """Prepares an order as the scenario needs it."""
    counter = till.counter
    crew = Crew(counter, counter.person(), counter.person("staff"), counter.person("staff", "pharmacist"), counter.person("admin"))
    rx = scenario in ("review", "approve", "lapse")
    sku = await counter.medicine(display_name="Teapot", rx_required=rx)
    order = await counter.ordered(crew.customer, line(sku, 1, await counter.prescription(crew.customer, sku) if rx else ""))
    await till.give_points(crew.customer, POINTS)
    made = Doomed(till, crew, order, scenario, str(uuid4()))
    if scenario in ("cancel", *IN_JOBS):
        await made.pay(till.server.channel, "" if scenario == "cancel" else VISA)
        made = replace(made, request_id=str(uuid4()))
    if scenario == "lose":
        await quarantine(till, crew, sku)
    if scenario == "refund":
        await completed(crew, order)
    return made


async def quarantine(till: Till, crew: Crew, sku: str) -> None:
    inventory: InventoryServiceAsyncStub = InventoryServiceStub(till.server.channel)
    found = await inventory.ListLots(
        ListLotsRequest(parent=till.counter.location, page_size=1000), metadata=crew.staff.metadata, timeout=20
    )
    for lot in found.lots:
        if lot.sku == sku:
            request = QuarantineLotRequest(name=lot.name, reason="damaged", request_id=str(uuid4()))
            await inventory.QuarantineLot(request, metadata=crew.staff.metadata, timeout=20)


async def dies_in_a_call(order: Doomed, site: str, settings: OrdersSettings, at_once: asyncio.Semaphore) -> None:
    async with at_once, orders_process("serve", settings, fault_at=f"{site}:1") as process:
        await process.serves()
        async with grpc.aio.insecure_channel(process.address) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as lost:
                await order.call(channel)
        assert lost.value.code() == grpc.StatusCode.UNAVAILABLE, site
        assert await process.was_killed(), site


async def comes_to_its_end(order: Doomed) -> None:
    """Does what people do after they could not pay, and waits for what should become of the order."""
    match order.scenario:
        case "cancel":
            # Whoever asked did not hear whether it was done, and never asks again: the payment ends, and the order when it is due.
            await payment_comes_to(order, payment_pb2.PAYMENT_STATE_CANCELLED)
            await order.till.counter.due(order.order)
            await order.comes_to("CANCELLED", "EXPIRED")
        case "lapse":
            await order.comes_to("CANCELLED")
        case "lose":
            await order.comes_to("CANCELLED")
            await order.till.refunded(order.customer, order.order)
        case "refund":
            await order.till.refunded(order.customer, order.order)
        case "review":
            await order.comes_to("UNDER_REVIEW")
            await order.approve()
            await order.comes_to("PAID")
        case "decline":
            await payment_comes_to(order, payment_pb2.PAYMENT_STATE_FAILED)
            again = replace(order, request_id=str(uuid4()))
            await again.pay(order.till.server.channel, VISA)
            await order.comes_to("PAID")
        case _:
            await order.comes_to("PAID")


async def payment_comes_to(order: Doomed, state: int) -> None:
    async def has_come() -> bool:
        return [payment.state for payment in await order.payments()] == [state]

    assert await eventually(has_come, RECOVERY_S), (order.scenario, await order.payments())


async def time_passes(till: Till) -> None:
    """It is time to look at all payments that are looked after."""
    await till.counter.rows("update payment set look_at = clock_timestamp() where look_at is not null")


async def recovered(till: Till, orders: Sequence[Doomed], settings: OrdersSettings) -> None:
    """Starts a process that lives, and waits until nothing is under way."""
    await time_passes(till)
    async with orders_process("serve", settings, fault_at="") as process:
        await process.serves()
        await asyncio.gather(*map(comes_to_its_end, orders))

        async def is_quiet() -> bool:
            under_way = """select (select count(*) from payment where state < 6) + (select count(*) from refund where state = 1)
                                  + (select count(*) from customer_order where pending_operation <> 0) as n"""
            return bool((await till.counter.rows(under_way))[0].n == 0)

        assert await eventually(is_quiet, RECOVERY_S)


async def check_books(till: Till, orders: Sequence[Doomed]) -> None:
    assert await eventually(lambda: agree(till))
    assert await money_of_books(till) == money_of_provider(till)
    assert await stock_differences(till) == []
    assert await till.counter.broken_rules() == []
    for order in orders:
        account = await till.account(order.customer)
        left = POINTS if order.scenario in ("cancel", "lose", "lapse", "refund") else 0
        assert (account.available, account.held, account.debt) == (left, 0, 0), order.scenario
        assert await account_findings(till, order.customer.id) == []


async def agree(till: Till) -> bool:
    return await till.differences() == []


@pytest.mark.parametrize("scenarios", [["pay"], [scenario for scenario in IN_CALLS if scenario != "pay"]], ids=",".join)
async def test_whatever_call_a_process_dies_in_what_it_began_comes_to_its_end(
    till: Till, working: OrdersSettings, scenarios: list[str]
) -> None:
    orders = {site: await doomed(till, scenario) for scenario in scenarios for site in IN_CALLS[scenario]}
    at_once, settings = asyncio.Semaphore(AT_ONCE), till.container.settings()
    await asyncio.gather(*(dies_in_a_call(order, site, settings, at_once) for site, order in orders.items()))

    await recovered(till, list(orders.values()), working)

    await check_books(till, list(orders.values()))
    for site, order in orders.items():
        payments = await order.payments()
        assert len(payments) == (2 if order.scenario == "decline" else 1), site
        if order.scenario != "cancel":
            again = await order.pay(till.server.channel, DECLINED if order.scenario == "decline" else VISA)
            assert again.name == payments[-1].name, site


async def test_whatever_job_a_process_dies_in_is_taken_up_by_the_next_one(till: Till, working: OrdersSettings) -> None:
    orders = {site: await doomed(till, scenario) for scenario, sites in IN_JOBS.items() for site in sites}
    async with served(service_parts(OrdersContainer(settings=working))):
        await asyncio.gather(*(earned(order) for order in orders.values() if order.scenario == "refund"))
    for site, order in orders.items():
        async with orders_process("worker", working, fault_at=f"{site}:1") as process:
            await order.set_off()
            assert await process.was_killed(), site

    await recovered(till, list(orders.values()), working)

    await check_books(till, list(orders.values()))
    for order in orders.values():
        refunds = await till.refunds(order.customer, order.order)
        expected = [(499 - POINTS, POINTS, 700)] if order.scenario == "refund" else []
        assert [(one.card_amount.amount_minor, one.points_minor, one.points_taken_back_minor) for one in refunds] == expected


async def earned(order: Doomed) -> None:
    async def has_points() -> bool:
        return (await order.till.account(order.customer)).available == 700

    assert await eventually(has_points, RECOVERY_S)


async def test_a_payment_that_died_again_and_again_is_made_once(till: Till, working: OrdersSettings) -> None:
    """Each process that takes it up dies one step later."""
    order = await doomed(till, "pay")
    sites = [site for site in IN_CALLS["pay"] if "_asked_" in site]
    await dies_in_a_call(order, sites[0], till.container.settings(), asyncio.Semaphore())
    for site in sites[1:]:
        await time_passes(till)
        async with orders_process("worker", working, fault_at=f"{site}:1") as process:
            assert await process.was_killed(), site

    await recovered(till, [order], working)

    await check_books(till, [order])
    (intent,) = till.simulator.intents(order_id=str(order_id(order.order)))
    assert intent["amount_received"] == 499 - POINTS
