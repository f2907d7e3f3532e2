"""The store in PostgreSQL: a role with few rights, an outage, books and store that do not drift apart."""

from __future__ import annotations

import aiohttp
import psycopg
import pytest

from deploy.local.payment_sim.models import Intent, Record
from deploy.local.payment_sim.postgres_storage import opened_storage
from deploy.local.payment_sim.testing import SimulatorHandle, running_simulator
from tests.payment_sim.client import Api


async def test_everything_is_done_in_the_role_that_is_given(postgres_server_uri: str, database_uri: str) -> None:
    role = "payment_sim_of_a_test"
    with psycopg.connect(postgres_server_uri, autocommit=True) as connection:
        if not connection.execute("select 1 from pg_roles where rolname = %s", [role]).fetchone():
            connection.execute(f"create role {role} nologin")
    async with opened_storage(database_uri, role) as storage:
        await storage.clear()
        intent = Intent("pi_1", "s", 1, 5, "rub", "manual", {"a": "b"}, ["card"])
        await storage.write([intent], [])
        assert await storage.load() == [intent]
        await storage.write([], [intent])
        assert await storage.load() == []
        assert await storage.is_usable()


async def test_when_it_is_not_known_what_was_stored_the_store_is_read_again(database_uri: str, http: aiohttp.ClientSession) -> None:
    """The write goes through and its answer is lost, as when the server dies right after a commit."""
    async with running_simulator(database_uri=database_uri) as simulator:
        await simulator.reset()
        api = Api(simulator.url, http)
        lose_next_answer(simulator)
        assert (await api.create(key="k", confirm="true", payment_method="pm_card_visa")).status == 500
        again = await api.create(key="k", confirm="true", payment_method="pm_card_visa")

        assert (again.status, again.headers["Idempotent-Replayed"]) == (200, "true")
        assert simulator.money()["totals"]["rub"]["captured"] == 70_000


def lose_next_answer(simulator: SimulatorHandle) -> None:
    storage = simulator.simulator.storage
    written = storage.write

    async def write(changed: list[Record], removed: list[Record]) -> None:
        await written(changed, removed)
        storage.write = written  # type: ignore[method-assign]
        raise psycopg.OperationalError("the server is gone")

    storage.write = write  # type: ignore[method-assign,assignment]


async def test_records_come_back_in_the_order_in_which_they_came(database_uri: str, http: aiohttp.ClientSession) -> None:
    async with running_simulator(database_uri=database_uri) as simulator:
        await simulator.reset()
        for _ in range(5):
            await Api(simulator.url, http).paid()
        before = simulator.events()
    async with running_simulator(database_uri=database_uri) as simulator:
        assert simulator.events() == before
        assert len(before) == 15


@pytest.mark.parametrize("stops", [1, 2])
async def test_an_outage_of_the_port_leaves_what_was_done(database_uri: str, http: aiohttp.ClientSession, stops: int) -> None:
    async with running_simulator(database_uri=database_uri) as simulator:
        await simulator.reset()
        api = Api(simulator.url, http)
        paid = await api.paid()
        for _ in range(stops):
            await simulator.stop_listening()
            with pytest.raises(aiohttp.ClientError):
                await api.status(paid.id)
            await simulator.start_listening()
        assert await api.status(paid.id) == "succeeded"
