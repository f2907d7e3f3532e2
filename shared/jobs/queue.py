"""Background work of a service: jobs in its own schema, enqueued in the transaction of what they follow from (procrastinate).

A job is one repeatable step: it may run twice, after a crash or a lost answer, so its effect on others carries a key derived from its
subject. Job ids and NOTIFY channels are shared by all schemas of a database, so each service has a queue of its own name, its workers
listen to that one only, and nothing is ever aborted by id.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import structlog
from procrastinate import App, BaseRetryStrategy, JobContext, RetryDecision
from procrastinate.jobs import Job
from procrastinate.worker import Worker
from prometheus_client import CollectorRegistry, Gauge
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.jobs.connections import make_connector
from shared.observability.metrics import TaskMetrics
from shared.observability.tracing import start_span
from shared.postgres.round_trips import Statement
from shared.tasks import end_tasks, going_on

log = structlog.get_logger()

DEAD_AFTER_S = 10.0
# Heartbeats in the time after which a worker is dead, and looks for dead ones in the same time.
HEARTBEATS = 5
RESCUES = 3
RESTART_AFTER_S = 1.0
BACK_OFF_MAX_S = 300.0

# As procrastinate adds a job, without its layers: they cost more than the statement does.
_ENQUEUE = """
select procrastinate_defer_jobs_v1(array[row(
    %s::text, %s::text, 0, null, null, %s::jsonb,
    (select clock_timestamp() + make_interval(secs => after_s) from (values (%s::int)) as wait (after_s) where after_s > 0)
)]::procrastinate_job_to_defer_v1[])
"""

Step = Callable[..., Awaitable[None]]


class ParkJob(Exception):
    """Raised by a step that no repetition can help: the job is kept as failed, for people to look at."""


class NotYet(Exception):
    """Raised by a step that must wait for something: no failure, but it is repeated like one, `after_s` from now at the earliest."""

    def __init__(self, reason: str, *, after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.after_s = after_s


class BackOff(BaseRetryStrategy):
    """Exponential with full jitter, up to five minutes; after `attempts_max` failures the job is parked, None means never."""

    def __init__(self, attempts_max: int | None) -> None:
        self.attempts_max = attempts_max

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if isinstance(exception, ParkJob) or (self.attempts_max is not None and job.attempts + 1 >= self.attempts_max):
            return None
        ceiling_s = min(BACK_OFF_MAX_S, 0.5 * 2.0 ** min(job.attempts, 20))
        delay_s = random.uniform(0.1, ceiling_s)  # noqa: S311
        if isinstance(exception, NotYet):
            delay_s = max(delay_s, exception.after_s)
        return RetryDecision(retry_at=datetime.now(UTC) + timedelta(seconds=delay_s))


class JobQueue:
    """The jobs of one service."""

    def __init__(
        self,
        name: str,
        conninfo: str,
        registry: CollectorRegistry,
        *,
        concurrency: int = 8,
        listen: bool = True,
        dead_after_s: float = DEAD_AFTER_S,
        on_failure: Callable[[Exception], None] = lambda _error: None,
    ) -> None:
        """A worker that was silent for `dead_after_s` is dead, and its jobs are taken up by others. `on_failure` is told why jobs fail."""
        self._name = name
        self._dead_after_s = dead_after_s
        self._concurrency = concurrency
        self._listen = listen
        self._on_failure = on_failure
        self._metrics = TaskMetrics(registry)
        self._parked = Gauge("jobs_parked", "Jobs that failed for good and wait for people.", registry=registry)
        self._oldest = Gauge("jobs_oldest_waiting_seconds", "Age of the oldest job that should have run by now.", registry=registry)
        self._worker: Worker | None = None
        self._running: Counter[int] = Counter()  # twice, after a crash of PostgreSQL
        self._seen_idle: set[tuple[int, int]] = set()
        self._app = App(connector=make_connector(conninfo))

    def register(self, name: str, step: Step, *, attempts_max: int | None) -> None:
        """Names a step. A failed one is repeated with back-off; after `attempts_max` failures it is parked, None means never."""
        self._app.task(name=name, queue=self._name, retry=BackOff(attempts_max))(self._observed(name, step))

    async def enqueue(self, connection: AsyncConnection, name: str, *, after_s: int = 0, **arguments: Any) -> None:
        """Adds a job in the connection's transaction: it exists if and only if that commits. It runs after that many seconds or later."""
        raw = await connection.get_raw_connection()
        driver = raw.driver_connection
        assert isinstance(driver, psycopg.AsyncConnection)
        await self.enqueue_on(driver, name, after_s=after_s, **arguments)

    async def enqueue_on(self, connection: psycopg.AsyncConnection[Any], name: str, *, after_s: int = 0, **arguments: Any) -> None:
        """The same for a plain psycopg connection."""
        statement, values = self.enqueuing(name, after_s=after_s, **arguments)
        await connection.execute(statement.encode(), values)

    def enqueuing(self, name: str, *, after_s: int = 0, **arguments: Any) -> Statement:
        """Returns the statement that adds a job, for who has others to send with it (see RoundTrips)."""
        return _ENQUEUE, (self._name, name, json.dumps(arguments), str(after_s))

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[JobQueue]:
        """Connects for the length of the block."""
        async with self._app.open_async():
            yield self

    async def work(self) -> None:
        """Runs jobs until cancelled; jobs that are running then are ended first. Outlives failures of the database."""
        rescuing = asyncio.create_task(self._rescue())
        try:
            while going_on():
                try:
                    await self._run_worker()
                except Exception as error:  # noqa: BLE001  whatever stopped the worker, jobs must go on
                    log.warning("job worker stopped, starting again", error=repr(error))
                await asyncio.sleep(RESTART_AFTER_S)
        finally:
            await end_tasks([rescuing], patience_s=RESTART_AFTER_S)

    async def _run_worker(self) -> None:
        self._worker = Worker(
            self._app,
            queues=[self._name],
            name=self._name,
            concurrency=self._concurrency,
            fetch_job_polling_interval=1.0,
            shutdown_graceful_timeout=15.0,
            listen_notify=self._listen,
            delete_jobs="successful",
            install_signal_handlers=False,
            update_heartbeat_interval=self._dead_after_s / HEARTBEATS,
            stalled_worker_timeout=self._dead_after_s,
            worker_middleware=[self._tracked],
        )
        running = asyncio.create_task(self._worker.run())  # type: ignore[no-untyped-call]
        try:
            await asyncio.sleep(0)  # it forgets being stopped before its first step
            await asyncio.shield(running)
        except asyncio.CancelledError:
            self._worker.stop()  # type: ignore[no-untyped-call]
            await running
            raise

    async def _tracked(self, run: Callable[[], Awaitable[Any]], context: JobContext, _worker: Worker) -> Any:
        assert context.job.id is not None
        self._running[context.job.id] += 1
        try:
            return await run()
        finally:
            self._running[context.job.id] -= 1
            self._running += Counter()  # drops what has come to nothing

    def _observed(self, name: str, step: Step) -> Step:
        async def run(**arguments: Any) -> None:
            start_span(None)
            began, outcome, error = time.perf_counter(), "failed", None
            try:
                await step(**arguments)
                outcome = "done"
            except NotYet as waiting:
                outcome, error = "waiting", str(waiting)
                raise
            except Exception as raised:
                self._on_failure(raised)
                error = repr(raised)
                raise
            finally:
                took_s = time.perf_counter() - began
                self._metrics.duration.labels(name, outcome).observe(took_s)
                log.info("job", job=name, outcome=outcome, ms=round(took_s * 1000, 2), error=error, **arguments)

        return run

    async def _rescue(self) -> None:
        """Takes up the jobs of dead workers, and measures what waits."""
        while going_on():
            try:
                await self._retry_stalled()
                await self._retry_lost()
                await self._measure()
            except Exception as error:  # noqa: BLE001  the database may be away; the next round tries again
                log.warning("stalled jobs could not be looked for", error=repr(error))
            await asyncio.sleep(self._dead_after_s / RESCUES)

    async def _retry_stalled(self) -> None:
        manager = self._app.job_manager
        await manager.prune_stalled_workers(self._dead_after_s)
        for job in await manager.get_stalled_jobs(queue=self._name, seconds_since_heartbeat=self._dead_after_s):
            log.warning("a worker died in a job, taking it up", job=job.task_name, job_id=job.id)
            await manager.retry_job(job)

    async def _retry_lost(self) -> None:
        """Takes up jobs that this worker holds and does not run: the database went away when one was fetched, or when its end was noted.

        The worker lives on, so nobody else would take them up. Seen twice, since a job that is about to begin or has just ended is one.
        """
        if self._worker is None or self._worker.worker_id is None:
            return
        held = await self._app.connector.execute_query_all_async(
            "select id, attempts from procrastinate_jobs where queue_name = %(queue)s and status = 'doing' and worker_id = %(worker)s",
            queue=self._name,
            worker=self._worker.worker_id,
        )
        idle = {(row["id"], row["attempts"]) for row in held if row["id"] not in self._running}
        for job_id, _ in idle & self._seen_idle:
            log.warning("a job was lost between worker and database, taking it up", job_id=job_id)
            await self._app.job_manager.retry_job_by_id_async(job_id=job_id, retry_at=datetime.now(UTC))
        self._seen_idle = idle

    async def _measure(self) -> None:
        row = await self._app.connector.execute_query_one_async(
            """select count(*) filter (where status = 'failed') as parked,
                      coalesce(extract(epoch from max(now() - coalesce(scheduled_at, now())) filter (where status = 'todo')), 0) as oldest
               from procrastinate_jobs where queue_name = %(queue)s""",
            queue=self._name,
        )
        self._parked.set(row["parked"])
        self._oldest.set(max(0.0, float(row["oldest"])))
