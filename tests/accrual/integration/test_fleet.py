"""Several replicas share the work and what they know of the provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import pytest

from deploy.local.accrual_sim.faults import Fault, FaultKind
from deploy.local.accrual_sim.orders import Status
from deploy.local.accrual_sim.testing import SimulatorHandle
from services.accrual.container import AccrualContainer, service_parts
from services.accrual.settings import AccrualSettings
from shared.testing.servers import free_port
from shared.worker import working
from tests.accrual.world import Customer, Owner, World, eventually, fresh_number

REPLICAS = 8
CONCURRENCY = 4
PAUSE_S = 2
# What was already on its way when the provider said 429 has arrived by then, on a slow machine too.
UNDER_WAY_S = 0.6


@pytest.fixture
def accrual_settings(accrual_settings: AccrualSettings) -> AccrualSettings:
    return accrual_settings.model_copy(update={"background_work": False, "poll_concurrency": CONCURRENCY, "database_connections_max": 7})


@asynccontextmanager
async def fleet(settings: AccrualSettings) -> AsyncIterator[None]:
    """Pollers as in as many processes, each with its own connections."""
    async with AsyncExitStack() as stack:
        for _ in range(REPLICAS):
            container = AccrualContainer(settings=settings)
            parts = replace(service_parts(container), metrics_address=f"127.0.0.1:{free_port()}", background=[container.poller().run])
            await stack.enter_async_context(working(parts))
        yield


async def submit_many(world: World, count: int) -> tuple[Customer, list[str]]:
    customer, numbers = world.new_customer(), [fresh_number() for _ in range(count)]
    for number in numbers:
        await customer.submit(number)
    return customer, numbers


async def test_after_a_429_nothing_but_what_was_under_way_arrives_from_any_replica(
    world: World, simulator: SimulatorHandle, accrual_settings: AccrualSettings
) -> None:
    """Goal: one pause for the whole fleet. Method: claims that are polled all the time, one 429, and the provider's log of arrivals."""
    _, numbers = await submit_many(world, 100)
    for number in numbers:
        await simulator.settle_order(number, Status.PROCESSING)

    async with fleet(accrual_settings):
        await eventually(lambda: arrived(simulator, 200), within_s=30)
        simulator.set_faults(Fault(FaultKind.TOO_MANY_REQUESTS, times=1, retry_after_s=PAUSE_S))
        await eventually(lambda: throttled(simulator))
        await asyncio.sleep(PAUSE_S + 1.5)

    arrivals = simulator.arrivals()
    (refused,) = (arrival.monotonic_s for arrival in arrivals if arrival.fault is FaultKind.TOO_MANY_REQUESTS)
    later = [arrival.monotonic_s - refused for arrival in arrivals if arrival.monotonic_s > refused]
    in_window = [after_s for after_s in later if after_s < PAUSE_S]
    assert len(in_window) <= REPLICAS * CONCURRENCY, "more than could have been under way"
    assert [after_s for after_s in in_window if after_s > UNDER_WAY_S] == []
    assert len(later) > len(in_window) + 20, "and then they go on"


async def arrived(simulator: SimulatorHandle, count: int) -> bool:
    return len(simulator.arrivals()) >= count


async def throttled(simulator: SimulatorHandle) -> bool:
    return bool(simulator.faults[0].fired)


async def test_a_fleet_shares_the_work_without_asking_twice(
    world: World, simulator: SimulatorHandle, accrual_settings: AccrualSettings
) -> None:
    _, numbers = await submit_many(world, 60)
    for number in numbers:
        await simulator.settle_order(number, Status.INVALID)

    async with fleet(accrual_settings):
        status = await eventually(lambda: nothing_pending(world))

    assert status.settling_claims == 0
    assert sorted(arrival.order or "" for arrival in simulator.arrivals()) == sorted(numbers)


async def nothing_pending(world: World) -> object:
    status = await world.provider()
    return None if status.pending_claims else status


async def test_replicas_that_stop_leave_no_lease_behind(
    world: World, simulator: SimulatorHandle, owner: Owner, accrual_settings: AccrualSettings
) -> None:
    """A graceful end: nobody has to wait until a lease runs out."""
    _, numbers = await submit_many(world, 50)
    for number in numbers:
        await simulator.settle_order(number, Status.PROCESSING)
    for _ in range(3):
        async with fleet(accrual_settings):
            await asyncio.sleep(0.3)

        assert await owner.execute("select count(*) from claim where lease_token is not null") == [(0,)]
