"""Jobs that were lost between a living worker and its database."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from shared.jobs.queue import JobQueue, NotYet, Step
from shared.jobs.schema import create_job_tables
from shared.testing.databases import fresh_database

DEAD_AFTER_S = 0.6


@pytest.fixture
def conninfo(postgres_server_uri: str) -> Iterator[str]:
    """A database with the queue's tables."""
    with fresh_database(postgres_server_uri) as uri:
        engine = sa.create_engine(uri.replace("postgresql://", "postgresql+psycopg://"))
        with engine.begin() as connection:
            create_job_tables(connection)
        engine.dispose()
        yield uri


@asynccontextmanager
async def working(conninfo: str, step: Step, **options: Any) -> AsyncIterator[JobQueue]:
    """A queue whose worker runs `step` for every job."""
    queue = JobQueue("probe", conninfo, CollectorRegistry(), listen=False, dead_after_s=DEAD_AFTER_S, **options)
    queue.register("step", step, attempts_max=None)
    async with queue.opened():
        worker = asyncio.create_task(queue.work())
        try:
            yield queue
        finally:
            worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await worker


async def jobs(conninfo: str) -> list[tuple[str, int]]:
    """Returns status and attempts of the jobs that are there; done ones are deleted."""
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        cursor = await connection.execute("select status::text, attempts from procrastinate_jobs")
        return await cursor.fetchall()


async def enqueue(conninfo: str, queue: JobQueue) -> None:
    async with await psycopg.AsyncConnection.connect(conninfo) as connection:
        await queue.enqueue_on(connection, "step")


async def registered_worker(connection: psycopg.AsyncConnection) -> int:
    deadline = time.monotonic() + 15
    while (row := await (await connection.execute("select id from procrastinate_workers")).fetchone()) is None:
        assert time.monotonic() < deadline, "no worker registers"
        await asyncio.sleep(0.02)
    return int(row[0])


async def all_done(conninfo: str) -> None:
    deadline = time.monotonic() + 15
    while left := await jobs(conninfo):
        assert time.monotonic() < deadline, left
        await asyncio.sleep(0.05)


async def test_a_job_whose_end_could_not_be_noted_is_run_again(conninfo: str) -> None:
    """The worker survives and its heart goes on beating, so for everybody else the job still runs."""
    runs: list[None] = []
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        await connection.execute(
            "create function refuse() returns trigger language plpgsql as $$ begin raise 'the database is not well'; end $$"
        )
        await connection.execute("create trigger refuse before delete on procrastinate_jobs for each row execute function refuse()")

        async def step() -> None:
            runs.append(None)
            if len(runs) == 2:
                await connection.execute("drop trigger refuse on procrastinate_jobs")

        async with working(conninfo, step) as queue:
            await enqueue(conninfo, queue)
            await all_done(conninfo)
    assert len(runs) == 2


async def test_a_job_that_was_fetched_without_the_worker_learning_of_it_is_run(conninfo: str) -> None:
    """The server committed the fetch and went away before it answered: played by writing down what it had committed."""
    runs: list[None] = []

    async def step() -> None:
        runs.append(None)

    async with working(conninfo, step) as queue, await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        worker = await registered_worker(connection)
        async with connection.transaction():
            await queue.enqueue_on(connection, "step")
            await connection.execute("update procrastinate_jobs set status = 'doing', worker_id = %s", [worker])
        assert await jobs(conninfo) == [("doing", 0)]
        await all_done(conninfo)
    assert len(runs) == 1


async def test_a_job_that_takes_long_is_not_taken_for_a_lost_one(conninfo: str) -> None:
    runs: list[None] = []

    async def step() -> None:
        runs.append(None)
        await asyncio.sleep(4 * DEAD_AFTER_S)

    async with working(conninfo, step) as queue:
        await enqueue(conninfo, queue)
        await all_done(conninfo)
    assert len(runs) == 1


async def test_who_asks_is_told_what_jobs_fail_with_and_not_that_they_wait(conninfo: str) -> None:
    ends: list[Exception] = [NotYet("not yet"), psycopg.errors.DeadlockDetected()]
    told: list[Exception] = []

    async def step() -> None:
        if ends:
            raise ends.pop(0)

    async with working(conninfo, step, on_failure=told.append) as queue:
        await enqueue(conninfo, queue)
        await all_done(conninfo)
    assert [type(error) for error in told] == [psycopg.errors.DeadlockDetected]
