"""What is given back takes the points with it that it had earned, as part of the whole: with the real accrual and balance services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
import pytest_asyncio
from galen.orders.v1 import order_pb2, order_service_pb2
from galen.orders.v1.order_pb2 import Order

from deploy.local.accrual_sim.rewards import RewardType
from deploy.local.accrual_sim.testing import SimulatorHandle
from services.orders.settings import OrdersSettings
from shared.testing.identities import Identities
from shared.testing.servers import ServedService, free_port
from tests.orders.counter import Crew
from tests.orders.earning import accrual_served
from tests.orders.orders_client import line
from tests.orders.refunding import books_agree, completed, give_back, through
from tests.orders.till import Till, eventually

KNOWN = (order_pb2.EARNED_POINTS_STATE_GRANTED, order_pb2.EARNED_POINTS_STATE_NONE)
EARNED = 701


@pytest.fixture(scope="module")
def accrual_address() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def till_settings(till_settings: OrdersSettings, accrual_address: str) -> OrdersSettings:
    return till_settings.model_copy(update={"accrual_address": accrual_address})


@pytest_asyncio.fixture(scope="module")
async def accrual_system(
    accrual_address: str,
    postgres_server_uri: str,
    balance_server: ServedService,
    identities: Identities,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[SimulatorHandle]:
    folder: Path = tmp_path_factory.mktemp("accrual")
    async with accrual_served(accrual_address, postgres_server_uri, balance_server.address, identities, folder) as simulator:
        await simulator.register_reward("Teapot", Decimal("7.01"), RewardType.POINTS)
        yield simulator


async def paid(till: Till, crew: Crew) -> tuple[Order, str]:
    """A paid order of 3 x 500, which will earn 7.01 points when it is completed; and its SKU."""
    sku = await till.counter.medicine(price_minor=500, display_name="Teapot")
    order = await till.counter.ordered(crew.customer, line(sku, 3))
    await till.pay(crew.customer, order)
    return order, sku


async def earned(crew: Crew, order: Order) -> Order:
    """Completes a paid order and waits for its points."""
    await completed(crew, order)

    async def is_known() -> bool:
        return (await crew.customer.get(order.name)).earned_points.state in KNOWN

    assert await eventually(is_known)
    order = await crew.customer.get(order.name)
    assert order.earned_points.points_minor == EARNED
    return order


async def test_parts_take_their_part_of_the_points_and_all_of_them_all(till: Till, crew: Crew, accrual_system: SimulatorHandle) -> None:
    order, sku = await paid(till, crew)
    await earned(crew, order)

    taken = [
        (await through(till, crew, order, amount_minor=499)).points_taken_back_minor,
        (await through(till, crew, order, units={sku: 1})).points_taken_back_minor,
        (await through(till, crew, order)).points_taken_back_minor,
    ]

    assert taken == [233, 233, 235]
    assert sum(taken) == EARNED
    account = await till.account(crew.customer)
    assert (account.available, account.debt) == (0, 0)
    assert await books_agree(till)


async def test_a_return_takes_the_points_of_what_came_back(till: Till, crew: Crew, accrual_system: SimulatorHandle) -> None:
    order, sku = await paid(till, crew)
    order = await earned(crew, order)

    await crew.staff.act("AcceptReturn", order, lines=[order_service_pb2.ReturnedUnits(sku=sku, quantity=2)], reason="leaks")

    (refund,) = await till.refunded(crew.customer, order)
    assert (refund.amount.amount_minor, refund.points_taken_back_minor) == (1000, 467)
    assert (await till.account(crew.customer)).available == EARNED - 467


async def test_points_that_were_spent_meanwhile_are_owed(till: Till, crew: Crew, accrual_system: SimulatorHandle) -> None:
    order, _ = await paid(till, crew)
    order = await earned(crew, order)
    dear = await till.counter.medicine(price_minor=600)
    await till.pay(crew.customer, await till.counter.ordered(crew.customer, line(dear)), "POINTS", card="")
    assert (await till.account(crew.customer)).available == 101

    refund = await through(till, crew, order)

    assert refund.points_taken_back_minor == EARNED
    account = await till.account(crew.customer)
    assert (account.available, account.debt) == (0, 600)
    assert await books_agree(till)


async def test_what_was_given_back_before_the_points_came_takes_its_part_when_they_come(
    till: Till, crew: Crew, accrual_system: SimulatorHandle
) -> None:
    order, sku = await paid(till, crew)
    early = await through(till, crew, order, units={sku: 1})
    assert early.points_taken_back_minor == 0

    order = await earned(crew, order)

    async def is_taken() -> bool:
        (refund,) = await till.refunds(crew.customer, order)
        return refund.points_taken_back_minor == 233

    assert await eventually(is_taken)
    late = await through(till, crew, order)
    assert late.points_taken_back_minor == EARNED - 233
    account = await till.account(crew.customer)
    assert (account.available, account.debt) == (0, 0)


async def test_a_return_waits_for_points_that_are_still_to_come(till: Till, crew: Crew, accrual_system: SimulatorHandle) -> None:
    order, _ = await paid(till, crew)
    order = await completed(crew, order)

    refund = await give_back(till, crew.staff, order)
    (done,) = await till.refunded(crew.customer, order)

    assert done.name == refund.name
    assert done.points_taken_back_minor == EARNED
    account = await till.account(crew.customer)
    assert (account.available, account.debt) == (0, 0)


async def test_what_earned_nothing_takes_nothing(till: Till, crew: Crew, accrual_system: SimulatorHandle) -> None:
    order = await till.counter.ordered(crew.customer)
    await till.give_points(crew.customer, 5)
    await till.pay(crew.customer, order)
    await completed(crew, order)

    assert (await through(till, crew, order)).points_taken_back_minor == 0
    account = await till.account(crew.customer)
    assert (account.available, account.debt) == (5, 0)
