"""A deadlock that PostgreSQL ends a job for is counted where somebody can see it, and the job is done after it."""

from __future__ import annotations

from typing import Any

from shared.testing.identities import Identities
from tests.orders.counter import LOT, order_id
from tests.orders.integration.inventory.desk import Desk
from tests.orders.integration.outside.conftest import OpenShop
from tests.orders.orders_client import line
from tests.orders.shop import eventually

# 9 is LOT_RECALLED, which only a job tells orders of.
DEADLOCK = """
create function deadlock() returns trigger language plpgsql as $$ begin raise 'played' using errcode = 'deadlock_detected'; end $$;
create trigger deadlock before insert on order_event for each row when (new.kind = 9) execute function deadlock()
"""


async def test_a_deadlock_in_a_job_is_counted_and_the_job_done_after_it(open_for: OpenShop, identities: Identities) -> None:
    async with open_for() as shop:
        sku = await shop.counter.medicine()
        order = await shop.crew.in_state("PAID", line(sku))
        staff = Desk.at(shop.server.channel, identities.customer("adam", roles=("admin", "staff")), shop.counter.location_id)
        registry = shop.container.registry()

        async def deadlocks() -> float:
            return registry.get_sample_value("postgres_conflicts_total", {"kind": "deadlock"}) or 0

        async def told() -> list[Any]:
            return await shop.counter.rows("select from order_event where order_id = %s and kind = 9", order_id(order))

        await shop.counter.rows(DEADLOCK)
        await staff.call("RecallLot", sku=sku, lot_number=LOT, reason="glass")
        await eventually(deadlocks)
        await shop.counter.rows("drop trigger deadlock on order_event")
        assert len(await eventually(told)) == 1
