"""One use case, one transaction: begun here, committed by name, with the answer remembered under the request's id."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orders.adapters.postgres.tables import request_log
from shared.postgres.request_log import RequestLog
from shared.requests import RequestKey

T = TypeVar("T")


class Answers:
    """Answers as they are stored: JSON that holds one under `answer`. Each kind is a frozen dataclass, or a list of them."""

    def __init__(self) -> None:
        self._codecs: dict[Any, TypeAdapter[Any]] = {}

    def written(self, kind: type[T], answer: T) -> dict[str, Any]:
        """Returns what is stored, as a document."""
        return {"answer": self._codec(kind).dump_python(answer, mode="json")}

    def text(self, kind: type[T], answer: T) -> str:
        """Returns the same, as JSON."""
        return f'{{"answer": {self._codec(kind).dump_json(answer).decode()}}}'

    def read(self, reply: Mapping[str, Any] | None, kind: type[T]) -> T | None:
        """Returns the answer that is stored as this."""
        if reply is None:
            return None
        answer: T = self._codec(kind).validate_python(reply["answer"])
        return answer

    def _codec(self, kind: type[T]) -> TypeAdapter[T]:
        codec = self._codecs.get(kind)
        if codec is None:
            codec = self._codecs[kind] = TypeAdapter(kind)
        return codec


class Transaction:
    """An open transaction; without `commit` it leaves nothing behind. Repositories are made for its `connection`."""

    def __init__(self, connection: AsyncConnection, log: RequestLog, answers: Answers) -> None:
        self.connection = connection
        self.answers = answers
        self._log = log

    async def answered(self, key: RequestKey, kind: type[T]) -> T | None:
        """Returns what the request was answered before; None if it is new and ours to do here. Comes before anything else.

        Raises RequestIdReused.
        """
        return self.answers.read(await self._log.begin(self.connection, key), kind)

    async def remember(self, key: RequestKey, kind: type[T], answer: T) -> None:
        """Stores the answer of the request that `answered` began."""
        await self._log.finish(self.connection, key, self.answers.written(kind, answer))

    async def commit(self, key: RequestKey, kind: type[T], answer: T) -> None:
        """Remembers the answer of the request that `answered` began, and commits."""
        await self.remember(key, kind, answer)
        await self.connection.commit()


class Transactions:
    def __init__(self, engine: AsyncEngine) -> None:
        self.answers = Answers()
        self._engine = engine
        self._log = RequestLog(request_log)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """Opens a transaction for the length of the block."""
        async with self._engine.connect() as connection:
            yield Transaction(connection, self._log, self.answers)
