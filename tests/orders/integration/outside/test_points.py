"""Completed orders earn points: with the real accrual and balance services, and the simulated accrual system behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import grpc
import pytest
import pytest_asyncio
from galen.accrual.v1 import accrual_service_pb2
from galen.accrual.v1.accrual_service_pb2_grpc import AccrualServiceStub
from galen.balance.v1 import balance_service_pb2
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub
from galen.orders.v1 import order_pb2
from galen.orders.v1.order_pb2 import Order

from deploy.local.accrual_sim.faults import Fault, FaultKind, Operation
from deploy.local.accrual_sim.orders import Status
from deploy.local.accrual_sim.rewards import RewardType
from deploy.local.accrual_sim.testing import SimulatorHandle
from services.accrual.container import AccrualContainer
from services.accrual.container import service_parts as accrual_parts
from services.accrual.settings import AccrualSettings
from shared.grpc.runtime import running
from shared.testing.identities import Identities
from tests.orders.integration.outside.conftest import OpenShop
from tests.orders.orders_client import line
from tests.orders.shop import Shop, eventually

KNOWN = (order_pb2.EARNED_POINTS_STATE_GRANTED, order_pb2.EARNED_POINTS_STATE_NONE)


@pytest_asyncio.fixture
async def shop(open_for: OpenShop, accrual: AccrualSettings) -> AsyncIterator[Shop]:
    async with open_for(accrual_address=accrual.grpc_address) as shop:
        yield shop


@asynccontextmanager
async def running_channel(address: str) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield AccrualServiceStub(channel)


async def known(shop: Shop, order: Order) -> Order:
    """Waits until the order's points are known; returns it."""

    async def look() -> Order | None:
        found = await shop.crew.customer.get(order.name)
        return found if found.earned_points.state in KNOWN else None

    return await eventually(look, within_s=30)


async def credited(balance: Any, identities: Identities, customer_id: str) -> list[tuple[str, int]]:
    """Returns the operations of the customer's account as (reference, amount)."""
    request = balance_service_pb2.ListOperationsRequest(parent=f"programs/main/accounts/{customer_id}", include_refused=True)
    answer = await balance.ListOperations(request, metadata=identities.customer(customer_id), timeout=5)
    return [(operation.reference, operation.amount) for operation in answer.operations]


async def last_event(shop: Shop, order: Order) -> Any:
    return (await shop.crew.customer.events(order.name))[-1]


async def test_the_goods_of_a_completed_order_bring_their_points_to_its_customer(
    shop: Shop, simulator: SimulatorHandle, balance: BalanceServiceStub, identities: Identities
) -> None:
    await simulator.register_reward("Bork", 10, RewardType.PERCENT)
    kettle = await shop.counter.medicine(display_name="Kettle Bork", price_minor=1005)
    tea = await shop.counter.medicine(display_name="Camomile tea")
    order = await shop.crew.in_state("COMPLETED", line(kettle, 3), line(tea, 1), delivery=True)
    assert order.earned_points.state in (order_pb2.EARNED_POINTS_STATE_PENDING, *KNOWN)

    done = await known(shop, order)

    assert (done.earned_points.state, done.earned_points.points_minor) == (order_pb2.EARNED_POINTS_STATE_GRANTED, 302)
    assert await credited(balance, identities, shop.crew.customer.id) == [(order.order_number, 302)]
    event = await last_event(shop, order)
    assert (event.kind, event.actor, dict(event.details)) == (
        order_pb2.ORDER_EVENT_KIND_POINTS_GRANTED,
        "system",
        {"points_minor": "302"},
    )
    assert done.state == order_pb2.ORDER_STATE_COMPLETED


async def test_an_order_that_is_not_completed_earns_nothing(shop: Shop) -> None:
    await shop.crew.in_state("CANCELLED")
    await shop.crew.in_state("EXPIRED")
    order = await shop.crew.in_state("SHIPPED", delivery=True)
    assert await shop.jobs("%purchase%") == []
    assert order.earned_points.state == order_pb2.EARNED_POINTS_STATE_UNSPECIFIED


async def test_points_come_when_accrual_comes_back_and_once_only(
    open_for: OpenShop,
    accrual_settings: AccrualSettings,
    simulator: SimulatorHandle,
    balance: BalanceServiceStub,
    identities: Identities,
) -> None:
    await simulator.register_reward("Paracetamol", 7, RewardType.POINTS)
    async with open_for(accrual_address=accrual_settings.grpc_address) as shop:
        order = await shop.crew.in_state("COMPLETED", delivery=True)

        async def tried() -> bool:
            return any(attempts > 1 for _, _, attempts in await shop.jobs("register_purchase"))

        await eventually(tried)
        async with running(accrual_parts(AccrualContainer(settings=accrual_settings))):
            done = await known(shop, order)
    assert done.earned_points.points_minor == 700
    assert await credited(balance, identities, shop.crew.customer.id) == [(order.order_number, 700)]


async def test_points_that_take_their_time_are_waited_for(shop: Shop, simulator: SimulatorHandle) -> None:
    """The outside system fails, says nothing yet, and only then calculates."""
    simulator.set_faults(Fault(FaultKind.INTERNAL_ERROR, operation=Operation.POST_ORDER, times=1))
    order = await shop.crew.in_state("COMPLETED", delivery=True)
    await simulator.settle_order(order.order_number, Status.PROCESSING)

    async def waiting() -> bool:
        return any(attempts > 0 for _, _, attempts in await shop.jobs("collect_points"))

    await eventually(waiting)
    assert (await shop.crew.customer.get(order.name)).earned_points.state == order_pb2.EARNED_POINTS_STATE_PENDING
    await simulator.settle_order(order.order_number, Status.PROCESSED, 1)
    assert (await known(shop, order)).earned_points.points_minor == 100


@pytest.mark.parametrize("outcome", ["invalid", "no goods with a reward"])
async def test_what_the_outside_system_gives_nothing_for_earns_nothing(shop: Shop, simulator: SimulatorHandle, outcome: str) -> None:
    order = await shop.crew.in_state("SHIPPED", delivery=True)
    if outcome == "invalid":
        await simulator.settle_order(order.order_number, Status.INVALID)
    await shop.crew.staff.act("DeliverOrder", order)

    done = await known(shop, order)

    assert (done.earned_points.state, done.earned_points.points_minor) == (order_pb2.EARNED_POINTS_STATE_NONE, 0)
    assert (await last_event(shop, order)).kind == order_pb2.ORDER_EVENT_KIND_POINTS_GRANTED


async def test_a_number_that_somebody_else_has_claimed_earns_nothing_and_raises_an_alert(
    shop: Shop, accrual: AccrualSettings, identities: Identities, capsys: pytest.CaptureFixture[str]
) -> None:
    order = await shop.crew.in_state("SHIPPED", delivery=True)
    thief = str(uuid4())
    async with running_channel(accrual.grpc_address) as stub:
        request = accrual_service_pb2.SubmitClaimRequest(parent=f"customers/{thief}", number=order.order_number, request_id=str(uuid4()))
        await stub.SubmitClaim(request, metadata=identities.customer(thief), timeout=5)
    await shop.crew.staff.act("DeliverOrder", order)

    done = await known(shop, order)

    assert done.earned_points.state == order_pb2.EARNED_POINTS_STATE_NONE
    alert = next(text for text in capsys.readouterr().out.splitlines() if "purchase refused" in text)
    assert "CLAIMED_BY_ANOTHER" in alert
    assert order.order_number in alert
    assert await shop.jobs("%purchase%") == []
