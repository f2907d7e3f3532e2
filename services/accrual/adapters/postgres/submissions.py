"""Makes claims: load, decide, store in one transaction, under a lock of the customer's own; remembers what was answered."""

from __future__ import annotations

import asyncio
from typing import Any, cast
from weakref import WeakValueDictionary

from psycopg import errors
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.accrual.adapters.postgres.rows import CLAIM_COLUMNS, answer_of, claim_of, reply_of, select_claims
from services.accrual.adapters.postgres.tables import NUMBER_UNIQUE, REQUEST_UNIQUE, claim, request_log
from services.accrual.domain.claims import Claim, State
from services.accrual.domain.submission import Found, Outcome, Submission, decide
from shared.errors import RequestIdReused
from shared.postgres.request_log import RequestLog

# Two submissions of one customer wait for each other, so that their unfinished claims are counted right. Ends with the transaction.
LOCK_CUSTOMER = text("select pg_advisory_xact_lock(hashtextextended('claims of ' || :customer, 0))")
_TIME = func.statement_timestamp()


class PostgresSubmissions:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._log = RequestLog(request_log)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def submit(self, submission: Submission) -> tuple[Outcome, Claim | None]:
        # Those who would wait for the lock anyway wait here first: one customer's flood must not hold all connections.
        turn = self._turns.setdefault(submission.customer, asyncio.Lock())
        async with turn, self._engine.connect() as connection:
            reply = await self._log.begin(connection, submission.key)
            if reply is not None:
                return answer_of(reply)
            await connection.execute(LOCK_CUSTOMER, {"customer": submission.customer})
            outcome, answer = await _claimed(connection, submission)
            # A refusal is rolled back, and its request with it: sent again it may succeed.
            if answer is not None:
                await self._log.finish(connection, submission.key, reply_of(outcome, answer))
                await connection.commit()
            return outcome, answer

    async def look_up(self, submission: Submission) -> tuple[Outcome, Claim | None]:
        async with self._engine.connect() as connection:
            reply = await self._log.find(connection, submission.key)
            return answer_of(reply) if reply is not None else decide(submission, await _load(connection, submission))


async def _claimed(connection: AsyncConnection, submission: Submission) -> tuple[Outcome, Claim | None]:
    outcome, existing = decide(submission, await _load(connection, submission))
    if outcome is not Outcome.CREATE:
        return outcome, existing
    created = await _store(connection, submission)
    if created is not None:
        return outcome, created
    # Another customer was faster: their claim has been committed by now, so a new statement sees it.
    return decide(submission, await _load(connection, submission))


async def _load(connection: AsyncConnection, submission: Submission) -> Found:
    of_number = (await connection.execute(select_claims().where(claim.c.number == submission.number))).first()
    return Found(
        of_number=None if of_number is None else claim_of(of_number),
        pending=0 if submission.pending_max is None else await _count_pending(connection, submission.customer, submission.pending_max),
    )


async def _count_pending(connection: AsyncConnection, customer: str, enough: int) -> int:
    unfinished = select(claim.c.number).where(claim.c.customer == customer, claim.c.state.in_((State.NEW.value, State.PROCESSING.value)))
    return (await connection.execute(select(func.count()).select_from(unfinished.limit(enough).subquery()))).scalar_one()


async def _store(connection: AsyncConnection, submission: Submission) -> Claim | None:
    """Returns the claim as it was stored; None if its number has one. Raises RequestIdReused."""
    values: dict[str, Any] = {
        "number": submission.number,
        "customer": submission.customer,
        "state": State.NEW.value,
        "actor": submission.key.actor,
        "request_id": submission.key.request_id,
        "fingerprint": submission.key.fingerprint,
        "created_at": _TIME,
        "updated_at": _TIME,
        "due_at": _TIME,
    }
    try:
        async with connection.begin_nested():
            return claim_of((await connection.execute(insert(claim).values(values).returning(*CLAIM_COLUMNS))).one())
    except IntegrityError as error:
        violated = _violated(error)
        if violated == NUMBER_UNIQUE:
            return None
        # Made by a replica of the version that kept no log, while this one was deployed.
        if violated == REQUEST_UNIQUE:
            raise RequestIdReused from error
        raise


def _violated(error: IntegrityError) -> str | None:
    return cast("errors.Error", error.orig).diag.constraint_name
