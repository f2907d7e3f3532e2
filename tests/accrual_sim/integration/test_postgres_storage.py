"""What only the store in PostgreSQL has to get right."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import psycopg
import pytest
from psycopg import errors
from psycopg.sql import SQL, Identifier

from deploy.local.accrual_sim.orders import Order, Status
from deploy.local.accrual_sim.postgres_storage import APPLICATION_NAME, opened_storage
from deploy.local.accrual_sim.rewards import Reward, RewardType
from deploy.local.accrual_sim.testing import running_simulator
from shared.testing.databases import make_role

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


async def test_many_simulators_may_start_at_once_on_an_empty_database(database_uri: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_uri, autocommit=True) as connection:
        await connection.execute("drop schema if exists accrual_sim cascade")

    async def start() -> bool:
        async with opened_storage(database_uri) as storage:
            return await storage.is_usable()

    async with asyncio.TaskGroup() as simulators:  # one that fails ends the others before the database goes away
        started = [simulators.create_task(start()) for _ in range(8)]
    assert [task.result() for task in started] == [True] * 8


async def test_an_order_comes_back_as_it_was_stored(database_uri: str) -> None:
    orders = [
        Order("18", Status.PROCESSED, Decimal("12345678901234567890.12"), MOMENT, MOMENT),
        Order("26", Status.INVALID, None, None, None),
    ]
    async with opened_storage(database_uri) as storage:
        await storage.clear()
        for order in orders:
            assert await storage.add_order(order)
            assert await storage.order(order.number) == order


async def test_it_works_as_its_role_and_needs_nothing_but_its_own_tables(database_uri: str) -> None:
    role = make_role(database_uri, "accrual-sim_app")
    order, reward = Order("18", Status.INVALID, None, None, None), Reward("Bork", Decimal(5), RewardType.PERCENT)
    async with opened_storage(database_uri, role) as storage:
        await storage.clear()
        assert await storage.add_reward(reward)
        assert list(await storage.rewards()) == [reward]
        assert await storage.add_order(order)
        await storage.put_order(order)
        assert await storage.order("18") == order

        async with await psycopg.AsyncConnection.connect(database_uri) as connection:
            granted = "select has_schema_privilege(%s, 'accrual_sim', 'create'), has_table_privilege(%s, 'accrual_sim.orders', 'delete')"
            assert await (await connection.execute(granted, [role, role])).fetchone() == (False, False)
            await connection.execute(SQL("revoke select on accrual_sim.orders from {}").format(Identifier(role)))
        with pytest.raises(errors.InsufficientPrivilege):
            await storage.order("18")


async def test_a_cut_connection_costs_no_request(database_uri: str) -> None:
    async with running_simulator(database_uri=database_uri) as simulator:
        await simulator.reset()
        await simulator.settle_order("18", Status.INVALID)
        async with await psycopg.AsyncConnection.connect(database_uri, autocommit=True) as connection:
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = %s",
                [APPLICATION_NAME],
            )
        answer = await simulator.simulator.answer("18")
        assert answer is not None
        assert answer.status is Status.INVALID


async def test_a_store_that_lost_its_tables_is_not_ready(database_uri: str) -> None:
    async with opened_storage(database_uri) as storage:
        async with await psycopg.AsyncConnection.connect(database_uri, autocommit=True) as connection:
            await connection.execute("drop schema accrual_sim cascade")
        assert not await storage.is_usable()
