"""kill -9 between order, reservation and jobs, at every step: afterwards all of it is there or none, and what was begun goes on.

Method: a process ends itself at a named place, in the middle of a caller's write or of its own work. Another one is asked the same again,
or goes on with the work.
"""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from galen.balance.v1 import balance_service_pb2
from galen.inventory.v1 import inventory_service_pb2
from galen.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub
from galen.orders.v1 import order_pb2
from galen.orders.v1.order_pb2 import Order

from deploy.local.accrual_sim.rewards import RewardType
from deploy.local.accrual_sim.testing import SimulatorHandle
from services.accrual.settings import AccrualSettings
from services.orders.adapters.postgres.order_placing import COMMITTED, COMMITTING
from services.orders.application.notifications.notify import NOTIFIED
from services.orders.application.points.earn_points import FOLLOWED, RECORDED, REGISTERED
from shared.testing.identities import Identities
from tests.orders.integration.outside.conftest import OpenShop
from tests.orders.orders_client import Orders, line
from tests.orders.orders_process import orders_process
from tests.orders.shop import Shop, eventually
from tests.orders.webhook_receiver import webhook_receiver

SERVICE = Path(__file__).parents[4] / "services" / "orders"
IN_WRITES = (COMMITTING, COMMITTED)
IN_POINTS = (REGISTERED, FOLLOWED, RECORDED)
STOCK = 10
WAITING_FOR_LOCK = "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


def test_every_place_where_the_service_may_end_is_one_of_these() -> None:
    """Those of payments are tried with payments."""
    files = [file for file in SERVICE.rglob("*.py") if "payment" not in str(file) and "refund" not in str(file)]
    reached = {
        ast.unparse(node.args[0])
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "reach"
    }
    assert reached == {"COMMITTING", "COMMITTED", "NOTIFIED", "REGISTERED", "FOLLOWED", "RECORDED"}


@dataclass(frozen=True)
class _Place:
    """What a write is about. `order` is the one that is there before it; unset before there is one."""

    sku: str
    request_id: str
    order: Order


@dataclass(frozen=True)
class Write:
    """A caller's write: what must be there before it, the call, the state after it and how much is reserved then."""

    before: str | None
    call: Callable[[Shop, Orders, Orders, _Place], Awaitable[Order]]
    state: order_pb2.OrderState.ValueType
    reserved: int
    on_hand: int


async def _create(shop: Shop, customer: Orders, _staff: Orders, place: _Place) -> Order:
    return await customer.create(line(place.sku, 3), location=shop.counter.location, request_id=place.request_id)


async def _cancel(_shop: Shop, customer: Orders, _staff: Orders, place: _Place) -> Order:
    return await customer.act("CancelOrder", place.order, request_id=place.request_id)


async def _deliver(_shop: Shop, _customer: Orders, staff: Orders, place: _Place) -> Order:
    return await staff.act("DeliverOrder", place.order, request_id=place.request_id)


WRITES = {
    "create": Write(None, _create, order_pb2.ORDER_STATE_PENDING_PAYMENT, reserved=3, on_hand=STOCK),
    "cancel": Write("PENDING_PAYMENT", _cancel, order_pb2.ORDER_STATE_CANCELLED, reserved=0, on_hand=STOCK),
    "deliver": Write("SHIPPED", _deliver, order_pb2.ORDER_STATE_COMPLETED, reserved=0, on_hand=STOCK - 3),
}


async def differences(shop: Shop, identities: Identities) -> list[Any]:
    """Returns what ReconcileStock finds at the shop's location."""
    stub = InventoryServiceStub(shop.server.channel)
    request = inventory_service_pb2.ReconcileStockRequest(parent=shop.counter.location)
    stream = stub.ReconcileStock(request, metadata=identities.customer("boss", roles=("staff",)), timeout=10)
    return [message.difference async for message in stream if message.HasField("difference")]


async def check_books(shop: Shop, identities: Identities) -> None:
    assert await differences(shop, identities) == []
    assert await shop.counter.broken_rules() == []
    gaps = "select order_id from order_event group by order_id having count(*) <> max(number)"
    assert await shop.counter.rows(gaps) == []


@pytest.mark.parametrize("site", IN_WRITES)
@pytest.mark.parametrize("name", WRITES)
async def test_a_write_whose_process_died_has_happened_wholly_or_not_at_all_and_its_repeat_is_answered_as_the_first(
    open_for: OpenShop, identities: Identities, name: str, site: str
) -> None:
    write = WRITES[name]
    async with open_for(background_work=False) as shop:
        sku = await shop.counter.medicine(stock=STOCK)
        order = await shop.crew.in_state(write.before, line(sku, 3), delivery=write.before == "SHIPPED") if write.before else Order()
        place = _Place(sku, str(uuid4()), order)
        jobs_before, events_before = len(await shop.jobs()), await _events(shop)

        async with orders_process("serve", shop.container.settings(), fault_at=f"{site}:1") as doomed:
            await doomed.serves()
            async with grpc.aio.insecure_channel(doomed.address) as channel:
                customer, staff = (Orders(channel, who.id, who.metadata) for who in (shop.crew.customer, shop.crew.staff))
                with pytest.raises(grpc.aio.AioRpcError) as lost:
                    await write.call(shop, customer, staff, place)
            assert lost.value.code() == grpc.StatusCode.UNAVAILABLE
            assert await doomed.was_killed()

        happened = site == COMMITTED
        assert (await _events(shop) > events_before, len(await shop.jobs()) > jobs_before) == (happened, happened)
        await check_books(shop, identities)

        answers = [await write.call(shop, shop.crew.customer, shop.crew.staff, place) for _ in range(2)]
        assert answers[0] == answers[1]
        assert answers[0].state == write.state
        assert await _events(shop) == events_before + 1
        assert len(await shop.jobs()) == jobs_before + (2 if name == "deliver" else 1)
        level = await shop.counter.level(sku)
        assert (level.reserved, level.on_hand) == (write.reserved, write.on_hand)
        assert len(await shop.counter.rows("select from customer_order")) == 1
        await check_books(shop, identities)


@pytest.mark.parametrize("carried_out", [True, False], ids=["carried out", "lost"])
async def test_an_order_whose_process_died_while_the_database_worked_on_it_is_made_once(
    open_for: OpenShop, identities: Identities, carried_out: bool
) -> None:
    """All of an order is in one round trip. Between its sending and its answer the process names no place: the database holds it up."""
    async with open_for(background_work=False) as shop:
        place = _Place(await shop.counter.medicine(stock=STOCK), str(uuid4()), Order())

        async with orders_process("serve", shop.container.settings(), fault_at="") as doomed, shop.counter.engine.connect() as somebody:
            await doomed.serves()
            async with grpc.aio.insecure_channel(doomed.address) as channel:
                customer = Orders(channel, shop.crew.customer.id, shop.crew.customer.metadata)
                await somebody.exec_driver_sql("select from stock_level where sku = %s for update", (place.sku,))
                asked = asyncio.create_task(_create(shop, customer, customer, place))
                (backend,) = await eventually(lambda: shop.counter.rows(WAITING_FOR_LOCK))
                doomed.process.kill()
                with pytest.raises(grpc.aio.AioRpcError):
                    await asked
            if not carried_out:
                await shop.counter.rows("select pg_terminate_backend(%s)", backend.pid)
            await somebody.rollback()

        async def is_over() -> bool:
            return not await shop.counter.rows("select from pg_stat_activity where pid = %s", backend.pid)

        await eventually(is_over)
        assert len(await shop.jobs()) == await _events(shop) == (1 if carried_out else 0)
        await check_books(shop, identities)

        answers = [await _create(shop, shop.crew.customer, shop.crew.staff, place) for _ in range(2)]
        assert answers[0] == answers[1]
        assert len(await shop.jobs()) == await _events(shop) == len(await shop.counter.rows("select from customer_order")) == 1
        assert (await shop.counter.level(place.sku)).reserved == 3
        await check_books(shop, identities)


async def _events(shop: Shop) -> int:
    return int((await shop.counter.rows("select count(*) as n from order_event"))[0].n)


@pytest.mark.parametrize("site", IN_WRITES)
async def test_an_order_whose_sweeper_died_expires_once(open_for: OpenShop, identities: Identities, site: str) -> None:
    async with open_for(background_work=False) as shop:
        sku = await shop.counter.medicine(stock=STOCK)
        order = await shop.counter.ordered(shop.crew.customer, line(sku, 3))
        await shop.counter.due(order)
        async with orders_process("worker", shop.container.settings(), fault_at=f"{site}:1") as doomed:
            assert await doomed.was_killed()
        assert (await shop.counter.level(sku)).reserved == (0 if site == COMMITTED else 3)
        await shop.container.sweeping().sweeper().round()
        assert (await shop.crew.customer.get(order.name)).state == order_pb2.ORDER_STATE_EXPIRED
        assert (await shop.counter.level(sku)).reserved == 0
        assert await _events(shop) == 2
        await check_books(shop, identities)


@pytest.mark.parametrize("site", IN_POINTS)
async def test_points_arrive_once_though_the_worker_that_brought_them_died(
    open_for: OpenShop,
    accrual: AccrualSettings,
    simulator: SimulatorHandle,
    balance: Any,
    identities: Identities,
    site: str,
) -> None:
    await simulator.register_reward("Paracetamol", 7, RewardType.POINTS)
    async with open_for(background_work=False, accrual_address=accrual.grpc_address) as shop:
        order = await shop.crew.in_state("COMPLETED", delivery=True)
        async with orders_process("worker", shop.container.settings(), fault_at=f"{site}:1") as doomed:
            assert await doomed.was_killed()
        customer = shop.crew.customer.id
    async with open_for(accrual_address=accrual.grpc_address) as shop:

        async def done() -> bool:
            return not await shop.jobs()

        await eventually(done, within_s=40)
        found = await shop.crew.staff.get(order.name)
    assert (found.earned_points.state, found.earned_points.points_minor) == (order_pb2.EARNED_POINTS_STATE_GRANTED, 700)
    request = balance_service_pb2.ListOperationsRequest(parent=f"programs/main/accounts/{customer}", include_refused=True)
    answer = await balance.ListOperations(request, metadata=identities.customer(customer), timeout=5)
    assert [(operation.reference, operation.amount) for operation in answer.operations] == [(order.order_number, 700)]


async def test_an_event_whose_teller_died_is_told_again_under_the_same_id(open_for: OpenShop, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("whsec-of-the-test")
    async with webhook_receiver() as receiver:
        channels: dict[str, Any] = {"notify": "webhook", "webhook_url": receiver.url, "webhook_secret_file": secret}
        async with open_for(background_work=False, **channels) as shop:
            order = await shop.counter.ordered(shop.crew.customer)
            async with orders_process("worker", shop.container.settings(), fault_at=f"{NOTIFIED}:1") as doomed:
                assert await doomed.was_killed()
        async with open_for(**channels) as shop:

            async def done() -> bool:
                return not await shop.jobs()

            await eventually(done, within_s=40)
        assert [delivery.id for delivery in receiver.deliveries] == [f"{order.name}/events/1"] * 2
