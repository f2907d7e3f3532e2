"""A deadlock that PostgreSQL finds is counted where somebody can see it."""

from __future__ import annotations

import asyncio

import grpc
from prometheus_client import CollectorRegistry

from shared.testing.errors import refusal_of
from tests.orders.counter import Counter
from tests.orders.integration.inventory.desk import Desk
from tests.orders.integration.ordering.conftest import Ordering
from tests.orders.shop import eventually

LOCK = "select from stock_level where location_id = %s and sku = %s for update"
WAITING = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


def deadlocks(registry: CollectorRegistry) -> float:
    return registry.get_sample_value("postgres_conflicts_total", {"kind": "deadlock"}) or 0


async def test_a_call_that_loses_a_deadlock_may_be_repeated_and_is_counted(counter: Counter, ordering: Ordering) -> None:
    """Somebody locks two levels the wrong way round: the second, then the first, which a call has locked that waits for the second."""
    first, second = sorted([await counter.medicine(), await counter.medicine()])
    admin = Desk.at(ordering.server.channel, counter.identities.customer("adam", roles=("admin",)), counter.location_id)
    before = deadlocks(ordering.container.registry())
    async with counter.engine.begin() as wrong:
        # It is the call that PostgreSQL finds first.
        await wrong.exec_driver_sql("set local deadlock_timeout = '60s'")
        await wrong.exec_driver_sql(LOCK, (counter.location_id, second))
        call = asyncio.create_task(refusal_of(admin.hold({first: 1, second: 1})))
        await eventually(lambda: counter.rows(WAITING))
        await wrong.exec_driver_sql(LOCK, (counter.location_id, first))
        refused = await call

    assert refused.code == grpc.StatusCode.UNAVAILABLE
    assert deadlocks(ordering.container.registry()) == before + 1
    assert (await admin.hold({first: 1, second: 1})).name
