"""The one row that all replicas share about the provider."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from uuid import uuid4

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.accrual.adapters.postgres.tables import PROVIDER_NAME, provider
from services.accrual.domain.provider import Breaker, BreakerRules, Permit, Provider, with_probe

_COLUMNS = [column for column in provider.c if column.name != "name"]
_ROW = provider.c.name == PROVIDER_NAME
# After a lock the time must be read by a statement of its own: one that waited for the lock began before it.
_CLOCK = select(func.clock_timestamp())


class PostgresProviderRecord:
    def __init__(self, engine: AsyncEngine, rules: BreakerRules) -> None:
        self._engine = engine
        self._rules = rules

    async def read(self) -> tuple[Provider, datetime]:
        async with self._engine.connect() as connection:
            return await _read(connection)

    async def take_permit(self) -> Permit | float:
        async with self._engine.begin() as connection:
            state, now = await _read(connection)
            until = state.silent_until(now)
            if until is not None:
                return (until - now).total_seconds()
            if state.breaker is Breaker.CLOSED:
                return Permit()
            probing = with_probe(state, now, uuid4(), self._rules)
            if await _store(connection, probing, seen=state.generation):
                return Permit(probing.probe_id)
            return self._rules.probe_s  # another replica has just sent the one request

    async def change(self, after: Callable[[Provider, datetime], Provider]) -> tuple[Provider, Provider]:
        # Most answers of a healthy provider change nothing, and the row must not become a queue for all polls of the fleet.
        state, now = await self.read()
        if after(state, now) == state:
            return state, state
        async with self._engine.begin() as connection:
            state, now = await _read(connection, lock=True)
            changed = after(state, now)
            await _store(connection, changed, seen=state.generation)
        return state, changed


async def _read(connection: AsyncConnection, *, lock: bool = False) -> tuple[Provider, datetime]:
    statement = select(*_COLUMNS, func.clock_timestamp()).where(_ROW)
    *columns, now = (await connection.execute(statement.with_for_update(key_share=True) if lock else statement)).one()
    if lock:
        now = (await connection.execute(_CLOCK)).scalar_one()
    breaker, *rest = columns
    return Provider(Breaker(breaker), *rest), now


async def _store(connection: AsyncConnection, state: Provider, *, seen: int) -> bool:
    """Returns False if somebody else has changed the state since the generation `seen`."""
    values = asdict(state)
    values["breaker"] = state.breaker.value
    guarded = update(provider).where(_ROW, provider.c.generation == seen).values(values)
    return (await connection.execute(guarded)).rowcount == 1
