"""Points programmes: a ledger may keep several apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.balance.domain.errors import ProgramExists, ProgramNotFound
from shared.requests import RequestKey


@dataclass(frozen=True, slots=True)
class Program:
    """A points programme."""

    id: str
    title: str
    created_at: datetime


class ProgramStore(Protocol):
    """Where programmes are kept."""

    async def create(self, program_id: str, title: str, key: RequestKey) -> Program:
        """Returns the programme of this id, made now or found. Raises RequestIdReused."""

    async def find(self, program_id: str) -> Program | None:
        """Returns the programme of this id."""

    async def list(self, after: str, limit: int) -> Sequence[Program]:
        """Returns at most `limit` programmes whose ids come after `after`, by id."""


class Programs:
    """Programmes are never removed, so one that was seen is remembered."""

    def __init__(self, store: ProgramStore) -> None:
        self._store = store
        self._seen: set[str] = set()

    async def create(self, program_id: str, title: str, key: RequestKey) -> Program:
        """Returns the programme, made now or before with the same title. Raises ProgramExists if it has another title, RequestIdReused."""
        program = await self._store.create(program_id, title, key)
        if program.title != title:
            raise ProgramExists
        return program

    async def page(self, after: str, limit: int) -> tuple[Sequence[Program], str | None]:
        """Returns a page by id, and the id after which the next one begins, None after the last."""
        rows = await self._store.list(after, limit + 1)
        return rows[:limit], rows[limit - 1].id if len(rows) > limit else None

    async def require(self, program_id: str) -> None:
        """Raises ProgramNotFound."""
        if program_id in self._seen:
            return
        if await self._store.find(program_id) is None:
            raise ProgramNotFound
        self._seen.add(program_id)
