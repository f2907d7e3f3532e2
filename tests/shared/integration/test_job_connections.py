"""The queue's own connections."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from procrastinate import PsycopgConnector

from shared.jobs.connections import GATHER_S, make_connector
from shared.testing.databases import fresh_database

# Much longer than what is told together is gathered for.
QUIET_S = 10 * GATHER_S


@pytest.fixture
def conninfo(postgres_server_uri: str) -> Iterator[str]:
    with fresh_database(postgres_server_uri) as uri:
        yield uri


@pytest.fixture
async def connector(conninfo: str) -> AsyncIterator[PsycopgConnector]:
    made = make_connector(conninfo)
    await made.open_async()
    yield made
    await made.close_async()


async def server_process(connector: PsycopgConnector) -> int:
    row = await connector.execute_query_one_async("select pg_backend_pid() as process")
    return int(row["process"])


async def end(conninfo: str, process: int) -> None:
    """Ends a connection from the server's side, and waits until it is gone."""
    deadline = time.monotonic() + 10
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        await connection.execute("select pg_terminate_backend(%s)", [process])
        while (await (await connection.execute("select from pg_stat_activity where pid = %s", [process])).fetchone()) is not None:
            assert time.monotonic() < deadline, "it does not end"
            await asyncio.sleep(0.01)


async def test_a_connection_that_the_server_has_ended_is_replaced_before_it_is_used(connector: PsycopgConnector, conninfo: str) -> None:
    process = await server_process(connector)
    await end(conninfo, process)
    assert await server_process(connector) != process


async def test_a_statement_takes_one_round_trip(connector: PsycopgConnector, tmp_path: Path) -> None:
    """No transaction is begun and ended around it, and the server is not asked before whether it is still there."""
    await server_process(connector)
    with (tmp_path / "said").open("w") as said:
        async with connector.pool.connection() as connection:
            connection.pgconn.trace(said.fileno())
        await server_process(connector)
        async with connector.pool.connection() as connection:
            connection.pgconn.untrace()
        assert (tmp_path / "said").read_bytes().count(b"ReadyForQuery") == 1


async def test_what_is_noted_of_jobs_does_not_wait_for_the_disk(connector: PsycopgConnector) -> None:
    assert (await connector.execute_query_one_async("show synchronous_commit"))["synchronous_commit"] == "off"


async def test_a_worker_is_told_once_of_many_jobs(connector: PsycopgConnector, conninfo: str) -> None:
    told: list[str] = []

    async def note(*, channel: str, payload: str) -> None:
        told.append(f"{channel} {payload}")

    async def are_told(count: int) -> list[str]:
        """Returns what was told when it is so much, and has not become more."""
        async with asyncio.timeout(10):
            while len(told) < count:  # noqa: ASYNC110  it comes by itself
                await asyncio.sleep(0.01)
        await asyncio.sleep(QUIET_S)
        return told

    listening = asyncio.create_task(connector.listen_notify(note, ["here", "there"]))
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        while not told:  # it may not listen yet
            await connection.execute("notify here, 'first'")
            await asyncio.sleep(QUIET_S)
        told.clear()
        async with connection.transaction():
            for number in range(10):
                await connection.execute(f"notify {'here' if number % 2 else 'there'}, 'job {number}'")
        assert await are_told(1) == ["there job 0"]
        await connection.execute("notify here, 'later'")
        assert await are_told(2) == ["there job 0", "here later"]
    listening.cancel()
    await asyncio.wait([listening])
