"""The claims that are due, as a queue that any number of replicas work on.

A claim is taken by a lease, in one short statement; nothing is locked while the provider is asked. Whoever dies loses the lease when
its time is up, and everything that is written afterwards must still show the lease's token. All times are the database's.
`statement_timestamp`, not `now`, which is when a transaction began, and not `clock_timestamp`, which no index can be searched by.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Interval, bindparam, case, func, null, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.accrual.adapters.postgres.tables import claim
from services.accrual.application.ports import Backlog, Lease
from services.accrual.domain.claims import Answer, State
from shared.faults import Faults
from shared.jobs.queue import JobQueue

SETTLE_JOB = "settle-claim"
STORED = "poll-stored"

_NOW = func.statement_timestamp()
_UNLEASED = {"lease_token": null(), "lease_until": null()}


class PostgresPollQueue:
    """`lease_s` must be longer than a poll can take."""

    def __init__(self, engine: AsyncEngine, jobs: JobQueue, faults: Faults, *, lease_s: float) -> None:
        self._engine = engine
        self._jobs = jobs
        self._faults = faults
        self._lease_s = lease_s

    async def lease(self, limit: int) -> Sequence[Lease]:
        token = uuid4()
        due = (
            select(claim.c.number)
            .where(claim.c.due_at <= _NOW, or_(claim.c.lease_until.is_(None), claim.c.lease_until <= _NOW))
            .order_by(claim.c.due_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte("due")
        )
        taken = (
            update(claim)
            .where(claim.c.number == due.c.number)
            .values(lease_token=token, lease_until=_NOW + _seconds(self._lease_s))
            .returning(claim.c.number, claim.c.customer, claim.c.state, claim.c.attempts)
        )
        async with self._engine.begin() as connection:
            rows = (await connection.execute(taken)).all()
        return [Lease(number, customer, State(state), attempts, token) for number, customer, state, attempts in rows]

    async def give_back(self, lease: Lease) -> None:
        await self._write(lease, _UNLEASED)

    async def postpone(self, lease: Lease, state: State, attempts: int, delay_s: float) -> bool:
        return await self._write(lease, {**_in_state(state), **_UNLEASED, "attempts": attempts, "due_at": _NOW + _seconds(delay_s)})

    async def conclude(self, lease: Lease, answer: Answer) -> bool:
        # While points are owed the customer sees PROCESSING; the job publishes once they are credited.
        shown = State.PROCESSING if answer.owes_points else answer.state
        values = {**_in_state(shown), **_UNLEASED, "accrual": answer.accrual, "answered_at": _NOW, "due_at": null()}
        async with self._engine.begin() as connection:
            kept = await _update(connection, lease, values)
            self._faults.reach(STORED)
            if kept and answer.owes_points:
                await self._jobs.enqueue(connection, SETTLE_JOB, number=lease.number)
        return kept

    async def backlog(self) -> Backlog:
        waiting = select(func.count(), _age(func.min(claim.c.due_at))).where(claim.c.due_at.is_not(None))
        settling = select(func.count(), _age(func.min(claim.c.answered_at))).where(
            claim.c.state == State.PROCESSING.value, claim.c.answered_at.is_not(None)
        )
        async with self._engine.connect() as connection:
            pending, oldest_due_s = (await connection.execute(waiting)).one()
            owed, oldest_settling_s = (await connection.execute(settling)).one()
        return Backlog(pending, owed, float(oldest_due_s), float(oldest_settling_s))

    async def _write(self, lease: Lease, values: dict[str, Any]) -> bool:
        async with self._engine.begin() as connection:
            return await _update(connection, lease, values)


async def _update(connection: AsyncConnection, lease: Lease, values: dict[str, Any]) -> bool:
    held = update(claim).where(claim.c.number == lease.number, claim.c.lease_token == lease.token)
    return (await connection.execute(held.values(values))).rowcount == 1


def _in_state(state: State) -> dict[str, Any]:
    return {"state": state.value, "updated_at": case((claim.c.state != state.value, _NOW), else_=claim.c.updated_at)}


def _age(moment: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.greatest(0, func.coalesce(func.extract("epoch", _NOW - moment), 0))


def _seconds(seconds: float) -> ColumnElement[Any]:
    return bindparam(None, timedelta(seconds=seconds), type_=Interval, unique=True)
