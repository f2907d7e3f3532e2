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
from tests.accrual.world import Owner, World, eventually, fresh_number

REPLICAS = 8
CONCURRENCY = 4
PAUSE_S = 3
# What was already on its way when the provider said 429 has arrived by then, on a slow machine too.
UNDER_WAY_S = 1.5


@pytest.fixture
def accrual_settings(accrual_settings: AccrualSettings) -> AccrualSettings:
    """Leases that outlast a slow machine."""
    return accrual_settings.model_copy(
        update={
            "background_work": False,
            "poll_concurrency": CONCURRENCY,
            "database_connections_max": 10,
            "lease_s": 60.0,
            "provider_total_s": 20.0,
        }
    )


@asynccontextmanager
async def fleet(settings: AccrualSettings) -> AsyncIterator[None]:
    """Pollers as in as many processes, each with its own connections."""
    async with AsyncExitStack() as stack:
        for _ in range(REPLICAS):
            container = AccrualContainer(settings=settings)
            parts = replace(service_parts(container), metrics_address=f"127.0.0.1:{free_port()}", background=[container.poller().run])
            await stack.enter_async_context(working(parts))
        yield


async def many_claims(owner: Owner, simulator: SimulatorHandle, count: int, status: Status) -> list[str]:
    numbers = [fresh_number() for _ in range(count)]
    for number in numbers:
        await simulator.settle_order(number, status)
    await owner.add_claims("ann", numbers)
    return numbers


async def test_after_a_429_nothing_but_what_was_under_way_arrives_from_any_replica(
    owner: Owner, simulator: SimulatorHandle, accrual_settings: AccrualSettings
) -> None:
    """Goal: one pause for the whole fleet. Method: claims that are polled all the time, one 429, and the provider's log of arrivals."""
    await many_claims(owner, simulator, 100, Status.PROCESSING)

    async with fleet(accrual_settings):
        await eventually(lambda: arrived(simulator, 200), within_s=30)
        simulator.set_faults(Fault(FaultKind.TOO_MANY_REQUESTS, times=1, retry_after_s=PAUSE_S))
        await eventually(lambda: throttled(simulator))
        await asyncio.sleep(PAUSE_S)
        silent = len(simulator.arrivals())
        await eventually(lambda: arrived(simulator, silent + 50))

    arrivals = simulator.arrivals()
    (refused,) = (arrival.monotonic_s for arrival in arrivals if arrival.fault is FaultKind.TOO_MANY_REQUESTS)
    in_window = [arrival.monotonic_s - refused for arrival in arrivals if refused < arrival.monotonic_s < refused + PAUSE_S]
    assert len(in_window) <= REPLICAS * CONCURRENCY, "more than could have been under way"
    assert [after_s for after_s in in_window if after_s > UNDER_WAY_S] == []


async def arrived(simulator: SimulatorHandle, count: int) -> bool:
    return len(simulator.arrivals()) >= count


async def throttled(simulator: SimulatorHandle) -> bool:
    return bool(simulator.faults[0].fired)


async def test_a_fleet_shares_the_work_without_asking_twice(
    world: World, owner: Owner, simulator: SimulatorHandle, accrual_settings: AccrualSettings
) -> None:
    numbers = await many_claims(owner, simulator, 60, Status.INVALID)

    async with fleet(accrual_settings):
        status = await eventually(lambda: nothing_pending(world), within_s=30)

    assert status.settling_claims == 0
    assert sorted(arrival.order or "" for arrival in simulator.arrivals()) == sorted(numbers)


async def nothing_pending(world: World) -> object:
    status = await world.provider()
    return None if status.pending_claims else status


async def test_replicas_that_stop_leave_no_lease_behind(
    simulator: SimulatorHandle, owner: Owner, accrual_settings: AccrualSettings
) -> None:
    """A graceful end: nobody has to wait until a lease runs out."""
    await many_claims(owner, simulator, 50, Status.PROCESSING)
    for _ in range(3):
        async with fleet(accrual_settings):
            await asyncio.sleep(0.3)

        assert await owner.execute("select count(*) from claim where lease_token is not null") == [(0,)]
