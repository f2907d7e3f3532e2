"""A slow provider keeps no connection of ours: others read and write through the only one there is, while it thinks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import pytest_asyncio
from galen.orders.v1 import payment_pb2
from galen.orders.v1.order_pb2 import Order
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from deploy.local.payment_sim.faults import Fault, FaultKind, Operation
from services.orders.adapters.postgres.tables import SCHEMA
from services.orders.container import OrdersContainer, service_parts
from services.orders.settings import OrdersSettings
from shared.postgres.conninfo import service_conninfo
from shared.postgres.engine import make_engine
from shared.testing.servers import served
from tests.orders.counter import Crew, open_counter, order_id
from tests.orders.refunding import give_back
from tests.orders.till import Till, eventually

LATENCY_S = 1.0
# So long that our own work for ten payments counts for little, on a busy machine too.
LONG_S = 3.0


@dataclass(frozen=True)
class Narrow:
    """A service without work in the background, whose calls have one connection, and whose saga has one."""

    till: Till
    crew: Crew
    engines: tuple[AsyncEngine, AsyncEngine]

    @property
    def connections_in_use(self) -> int:
        return sum(pool.checkedout() for engine in self.engines if isinstance(pool := engine.pool, QueuePool))

    def asked(self, operation: Operation) -> int:
        """How many such requests the provider has had."""
        return len(self.till.simulator.arrivals(operation))


@pytest.fixture(scope="module")
def till_settings(till_settings: OrdersSettings) -> OrdersSettings:
    """Without work in the background: nobody else asks the provider for what a test is about to."""
    return till_settings.model_copy(update={"background_work": False})


@pytest_asyncio.fixture
async def narrow(till: Till, till_settings: OrdersSettings, till_database: AsyncEngine) -> AsyncIterator[Narrow]:
    conninfo = service_conninfo(till_settings.database_uri, schema=SCHEMA, role=till_settings.database_role)
    calls, saga = (make_engine(conninfo, size_max=1, wait_limit_s=10, prepares=False) for _ in range(2))
    container = OrdersContainer(settings=till_settings)
    container.engine.override(calls)
    container.work_engine.override(saga)
    async with served(service_parts(container)) as server:
        counter = await open_counter(server, till.identities, till.counter.people, container.ordering().payment_steps(), till_database)
        crew = Crew(counter, counter.person(), counter.person("staff"), counter.person("staff", "pharmacist"), counter.person("admin"))
        yield Narrow(replace(till, counter=counter, server=server, container=container), crew, (calls, saga))
        till.simulator.behave(latency_s=0)


async def start(narrow: Narrow) -> tuple[Operation, Callable[[], Awaitable[Any]]]:
    order = await narrow.till.counter.ordered(narrow.crew.customer)
    return Operation.CREATE, lambda: narrow.till.pay(narrow.crew.customer, order)


async def cancel(narrow: Narrow) -> tuple[Operation, Callable[[], Awaitable[Any]]]:
    order = await narrow.till.counter.ordered(narrow.crew.customer)
    await narrow.till.pay(narrow.crew.customer, order, card="")
    return Operation.CANCEL, lambda: narrow.crew.customer.act("CancelOrder", order, etag="")


async def capture(narrow: Narrow) -> tuple[Operation, Callable[[], Awaitable[Any]]]:
    order = await narrow.crew.in_state("PENDING_PAYMENT", rx=True)
    payment = await narrow.till.pay(narrow.crew.customer, order)
    await narrow.crew.pharmacist.act("ApproveOrder", await narrow.crew.pharmacist.get(order.name))
    return Operation.CAPTURE, lambda: narrow.till.container.paying().payment_jobs().drive_payment(payment.name.rpartition("/")[2])


async def refund(narrow: Narrow) -> tuple[Operation, Callable[[], Awaitable[Any]]]:
    order = await narrow.till.counter.ordered(narrow.crew.customer)
    await narrow.till.pay(narrow.crew.customer, order)
    made = await give_back(narrow.till, narrow.crew.staff, order)
    return Operation.REFUND, lambda: narrow.till.container.paying().payment_jobs().drive_refund(made.name.rpartition("/")[2])


async def look(narrow: Narrow) -> tuple[Operation, Callable[[], Awaitable[Any]]]:
    narrow.till.simulator.set_faults(Fault(FaultKind.LOST, operation=Operation.WEBHOOK))  # a message would put the look off
    order = await narrow.till.counter.ordered(narrow.crew.customer)
    await narrow.till.pay(narrow.crew.customer, order, card="")
    await narrow.till.counter.rows("update payment set look_at = clock_timestamp() where order_id = %s", order_id(order))
    return Operation.GET, narrow.till.look


async def reconcile(narrow: Narrow) -> tuple[Operation, Callable[[], Awaitable[Any]]]:
    order = await narrow.till.counter.ordered(narrow.crew.customer)
    await narrow.till.pay(narrow.crew.customer, order)
    return Operation.GET, narrow.till.differences


@pytest.mark.parametrize("begin", [start, cancel, capture, refund, look, reconcile], ids=lambda begin: begin.__name__)
async def test_while_the_provider_thinks_no_connection_waits_with_it(
    narrow: Narrow, begin: Callable[[Narrow], Awaitable[tuple[Operation, Callable[[], Awaitable[Any]]]]]
) -> None:
    other = await narrow.till.counter.ordered(narrow.crew.customer)
    operation, ask = await begin(narrow)
    before = narrow.asked(operation)
    narrow.till.simulator.behave(latency_s=LATENCY_S)

    asking = asyncio.ensure_future(ask())

    async def is_thinking() -> bool:
        return narrow.asked(operation) > before

    async def holds_none() -> bool:
        return narrow.connections_in_use == 0

    assert await eventually(is_thinking)
    # Whoever watches takes one for a moment now and then; one that waits for the provider would be held as long as that.
    assert await eventually(holds_none, LATENCY_S / 2)
    # Reads and writes of others, all through the same connection.
    assert (await narrow.crew.customer.get(other.name)).name == other.name
    await narrow.till.counter.ordered(narrow.crew.customer)
    assert await eventually(holds_none, LATENCY_S / 2)
    assert not asking.done()
    narrow.till.simulator.behave(latency_s=0)
    await asking


async def test_many_payments_wait_for_a_slow_provider_at_once(narrow: Narrow) -> None:
    """One after the other they would take ten times the provider's time."""
    orders: list[Order] = [await narrow.till.counter.ordered(narrow.crew.customer) for _ in range(10)]
    narrow.till.simulator.behave(latency_s=LONG_S)
    begun = asyncio.get_running_loop().time()

    payments = await asyncio.gather(*(narrow.till.pay(narrow.crew.customer, order) for order in orders))

    assert {payment.state for payment in payments} == {payment_pb2.PAYMENT_STATE_CAPTURED}
    assert asyncio.get_running_loop().time() - begun < 5 * LONG_S
