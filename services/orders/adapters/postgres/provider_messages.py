"""The inbox: the provider's messages as they came, each once, with the job that works on it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.adapters.postgres.payment_tables import webhook_event
from services.orders.application.payments.ports import ProviderEvent
from shared.jobs.queue import JobQueue

WORK_ON_MESSAGE_JOB = "work_on_message"
FORGOTTEN_AT_ONCE = 1000


class PostgresMessages:
    """`Messages`."""

    def __init__(self, engine: AsyncEngine, jobs: JobQueue) -> None:
        self._engine = engine
        self._jobs = jobs

    async def keep(self, event: ProviderEvent, body: bytes) -> bool:
        row = {
            "event_id": event.id,
            "kind": event.kind,
            "object_id": event.intent,
            "state": "NEW",
            "body": body,
            "created_at": event.created_at,
            "received_at": func.clock_timestamp(),
        }
        async with self._engine.begin() as connection:
            adding = insert(webhook_event).values(row).on_conflict_do_nothing().returning(webhook_event.c.event_id)
            is_new = (await connection.execute(adding)).first() is not None
            if is_new:
                await self._jobs.enqueue(connection, WORK_ON_MESSAGE_JOB, event_id=event.id)
        return is_new

    async def body_of(self, event_id: str) -> bytes | None:
        is_open = webhook_event.c.state.in_(("NEW", "WAITING"))
        query = select(webhook_event.c.body).where(webhook_event.c.event_id == event_id, is_open)
        async with self._engine.connect() as connection:
            body: bytes | None = (await connection.execute(query)).scalar()
        return body

    async def close(self, event_id: str, state: str) -> None:
        change = {"state": state, "attempts": webhook_event.c.attempts + 1}
        async with self._engine.begin() as connection:
            await connection.execute(update(webhook_event).where(webhook_event.c.event_id == event_id).values(change))

    async def forget(self, before: datetime) -> None:
        table = webhook_event.c
        old = select(table.event_id).where(table.state == "DONE", table.created_at < before).limit(FORGOTTEN_AT_ONCE)
        async with self._engine.begin() as connection:
            await connection.execute(delete(webhook_event).where(table.event_id.in_(old.scalar_subquery())))

    async def newest(self) -> datetime | None:
        async with self._engine.connect() as connection:
            found: datetime | None = (await connection.execute(select(func.max(webhook_event.c.created_at)))).scalar()
        return found
