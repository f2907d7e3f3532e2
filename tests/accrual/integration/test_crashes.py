"""kill -9 at every step of a claim's way: after a restart it is finished, and credited exactly once.

Method: the background work runs as a process of its own that ends itself at a named site; another process then goes on.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from galen.accrual.v1 import claim_pb2

from deploy.local.accrual_sim.orders import Status
from services.accrual.adapters.postgres.poll_queue import STORED
from services.accrual.application.poll_claim import ANSWERED, CONCLUDED, LEASED
from services.accrual.application.settle_claim import CREDITED, PUBLISHED
from services.accrual.settings import AccrualSettings
from shared.faults import KILLED
from shared.testing.servers import free_port
from tests.accrual.world import Customer, World

# What the customer sees after the kill: PROCESSING as long as the points are not theirs.
SITES = {
    LEASED: claim_pb2.CLAIM_STATE_NEW,
    ANSWERED: claim_pb2.CLAIM_STATE_NEW,
    STORED: claim_pb2.CLAIM_STATE_NEW,
    CONCLUDED: claim_pb2.CLAIM_STATE_PROCESSING,
    CREDITED: claim_pb2.CLAIM_STATE_PROCESSING,
    PUBLISHED: claim_pb2.CLAIM_STATE_PROCESSED,
}


@pytest.fixture
def accrual_settings(accrual_settings: AccrualSettings) -> AccrualSettings:
    """The server that the customer speaks with does nothing by itself."""
    return accrual_settings.model_copy(update={"background_work": False})


def environment(settings: AccrualSettings, fault_at: str | None) -> Mapping[str, str]:
    given = settings.model_dump(exclude_none=True) | {"metrics_address": f"127.0.0.1:{free_port()}", "log_format": "json"}
    given |= {"fault_at": fault_at} if fault_at else {}
    return {name.upper(): str(value) for name, value in given.items()}


@asynccontextmanager
async def worker(settings: AccrualSettings, *, fault_at: str | None = None) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m services.accrual worker` for the length of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.accrual", "worker"),
        env=environment(settings, fault_at),
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await asyncio.wait_for(process.wait(), 20)


@pytest.mark.parametrize("site", SITES)
async def test_a_claim_is_finished_and_credited_once_though_its_worker_was_killed(
    world: World, customer: Customer, number: str, site: str
) -> None:
    await world.simulator.settle_order(number, Status.PROCESSED, 10)
    await customer.submit(number)

    async with worker(world.settings, fault_at=f"{site}:1") as killed:
        assert await asyncio.wait_for(killed.wait(), 60) == KILLED, "the site must be reached"
    seen = await customer.claim(number)
    # A provider that changes its mind must not matter once its answer is stored.
    await world.simulator.settle_order(number, Status.PROCESSED, 10 if site in (LEASED, ANSWERED, STORED) else 99)
    async with worker(world.settings):
        claim = await customer.finished(number, within_s=60)
        await asyncio.sleep(0.5)

    assert (seen.state, seen.HasField("accrual")) == (SITES[site], site == PUBLISHED)
    assert (claim.state, claim.accrual) == (claim_pb2.CLAIM_STATE_PROCESSED, 1000)
    assert [(operation.amount, operation.name) for operation in await customer.credits()] == [(1000, claim.credit_operation)]
    polls = 2 if site in (ANSWERED, STORED) else 1
    assert len(world.simulator.arrivals(order=number)) == polls, "a stored answer is never asked for again"


async def test_a_worker_ends_cleanly_when_it_is_told_to(world: World, customer: Customer, number: str) -> None:
    await world.simulator.settle_order(number, Status.PROCESSED, 10)
    await customer.submit(number)
    async with worker(world.settings) as process:
        await customer.finished(number)
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0
