"""The inbox: the provider's messages as they came, but for their secrets, each once, with the job that works on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence, Set
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.adapters.postgres.order_round_trips import BEGIN, COMMIT, Send, sender
from services.orders.adapters.postgres.payment_rows import FACT_COLUMNS, fact_of
from services.orders.adapters.postgres.payment_tables import webhook_event
from services.orders.application.payments.ports import ProviderEvent
from services.orders.domain.payments.facts import Fact, adds_nothing
from shared.jobs.queue import JobQueue
from shared.postgres.round_trips import RoundTrips, Statement, array

WORK_ON_MESSAGE_JOB = "work_on_message"
FORGOTTEN_AT_ONCE = 1000

_KEEP = """
insert into webhook_event (event_id, kind, object_id, state, body, created_at, received_at)
values (%s, %s, %s, %s, %s::bytea, %s::timestamptz, clock_timestamp())
on conflict do nothing returning event_id
"""
_NOTHING_TO_DO = "update webhook_event set state = 'DONE' where event_id = %s"
# Nothing where no payment is known by that name.
_FACTS_OF_INTENT = f"""
select {", ".join(column.name for column in FACT_COLUMNS)} from payment_fact
 where payment_id = (select payment_id from payment where intent = %s and intent <> '')
"""  # noqa: S608  nothing but columns of ours
_KEPT = "select event_id from webhook_event where event_id = any(%s::text[])"
_BODY = "select body from webhook_event where event_id = %s and state in ('NEW', 'WAITING')"
_CLOSE = "update webhook_event set state = %s, attempts = attempts + 1 where event_id = %s"


class PostgresMessages:
    """`Messages`."""

    def __init__(self, engine: AsyncEngine, jobs: JobQueue) -> None:
        self._engine = engine
        self._jobs = jobs
        self._round_trips = RoundTrips()

    async def keep(self, event: ProviderEvent, body: bytes) -> bool:
        async with self._sending() as send:
            if event.says_nothing:
                (kept,) = await send([_keep(event, "DONE", body)])
                return bool(kept)
            _, facts, kept = await send([BEGIN, (_FACTS_OF_INTENT, (event.intent,)), _keep(event, "NEW", body)])
            if kept:
                await send([self._following(event, [fact_of(row) for row in facts]), COMMIT])
        return bool(kept)

    def _following(self, event: ProviderEvent, known: Sequence[Fact]) -> Statement:
        """What is known is committed and never taken back: it is known for good, whoever else is recording something at the moment.

        What is not known yet has its job, though it may be known when that comes.
        """
        if event.refund is None and adds_nothing(known, event.facts):
            return _NOTHING_TO_DO, (event.id,)
        return self._jobs.enqueuing(WORK_ON_MESSAGE_JOB, event_id=event.id)

    async def missing(self, event_ids: Collection[str]) -> Set[str]:
        async with self._sending() as send:
            (kept,) = await send([(_KEPT, (array(event_ids),))])
        return set(event_ids) - {event_id for (event_id,) in kept}

    async def body_of(self, event_id: str) -> bytes | None:
        async with self._sending() as send:
            (found,) = await send([(_BODY, (event_id,))])
        return found[0][0] if found else None

    async def close(self, event_id: str, state: str) -> None:
        async with self._sending() as send:
            await send([(_CLOSE, (state, event_id))])

    async def forget(self, before: datetime) -> None:
        table = webhook_event.c
        old = select(table.event_id).where(table.state == "DONE", table.created_at < before).limit(FORGOTTEN_AT_ONCE)
        async with self._engine.begin() as connection:
            await connection.execute(delete(webhook_event).where(table.event_id.in_(old.scalar_subquery())))

    async def newest(self) -> datetime | None:
        async with self._engine.connect() as connection:
            found: datetime | None = (await connection.execute(select(func.max(webhook_event.c.created_at)))).scalar()
        return found

    @asynccontextmanager
    async def _sending(self) -> AsyncIterator[Send]:
        async with self._engine.connect() as connection:
            yield await sender(self._round_trips, connection)


def _keep(event: ProviderEvent, state: str, body: bytes) -> Statement:
    return _KEEP, (event.id, event.kind, event.intent, state, f"\\x{body.hex()}", event.created_at.isoformat())
