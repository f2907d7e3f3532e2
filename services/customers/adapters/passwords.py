"""argon2id, in a few threads of its own: a hash takes a tenth of a second of a processor and, while it lasts, tens of megabytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from prometheus_client import CollectorRegistry, Gauge

from services.customers.application.ports import Hasher
from shared.errors import Overloaded

log = structlog.get_logger()

T = TypeVar("T")


class Argon2Turns:
    """Gives `turns_max` turns at once; `waiting_max` more may wait, all others are refused.

    A turn ends when its work has ended, not when its caller has gone: the memory is in use until then, and a wrong guess is counted
    whether or not the guesser stays to hear of it.
    """

    def __init__(self, hasher: PasswordHasher, registry: CollectorRegistry, *, turns_max: int, waiting_max: int) -> None:
        self._executor = ThreadPoolExecutor(turns_max, thread_name_prefix="argon2")
        self._hasher = _Argon2(hasher, self._executor)
        self._free = asyncio.Semaphore(turns_max)
        self._admitted_max = turns_max + waiting_max
        self._admitted = 0
        self._works: set[asyncio.Task[object]] = set()
        self._gauge = Gauge("password_turns_in_use_or_awaited", "Logins and registrations that hash or wait to.", registry=registry)

    async def in_turn(self, work: Callable[[Hasher], Awaitable[T]]) -> T:
        if self._admitted >= self._admitted_max:
            raise Overloaded(retry_after_s=1.0)
        self._admit(+1)
        try:
            await self._free.acquire()
        except asyncio.CancelledError:
            self._admit(-1)
            raise
        task = asyncio.ensure_future(work(self._hasher))
        self._works.add(task)  # the loop itself keeps weak references only
        task.add_done_callback(self._end)
        return await asyncio.shield(task)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Argon2Turns]:
        """Waits at the end of the block for the work that is going on."""
        try:
            yield self
        finally:
            await asyncio.gather(*self._works, return_exceptions=True)
            self._executor.shutdown(wait=False, cancel_futures=True)

    def _end(self, task: asyncio.Task[object]) -> None:
        self._works.discard(task)
        self._free.release()
        self._admit(-1)
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain where the caller has gone

    def _admit(self, by: int) -> None:
        self._admitted += by
        self._gauge.set(self._admitted)


class _Argon2:
    def __init__(self, hasher: PasswordHasher, executor: ThreadPoolExecutor) -> None:
        self._hasher = hasher
        self._executor = executor
        # Of no password: what unknown logins are checked against.
        self._dummy = hasher.hash("")

    async def hash(self, password: str) -> str:
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._hasher.hash, password)

    async def verify(self, password_hash: str | None, password: str) -> bool:
        right = await asyncio.get_running_loop().run_in_executor(self._executor, self._matches, password_hash or self._dummy, password)
        return right and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        return self._hasher.check_needs_rehash(password_hash)

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except VerificationError:
            return False
