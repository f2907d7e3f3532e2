"""The gate before the provider: every request of ours goes through it, whatever it is about.

It limits how many are under way in this process, asks the fleet's shared state right before each whether it may be sent, and tells it
afterwards what came of it. A provider that is slow or down can therefore use up nothing but these slots.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar

import structlog

from services.accrual.application.ports import (
    Observer,
    ProviderFailed,
    ProviderRecord,
    ProviderRefused,
    ProviderSilenced,
    ProviderThrottled,
)
from services.accrual.domain.provider import BreakerRules, Permit, Provider, after_failure, after_success, after_throttle

log = structlog.get_logger()

T = TypeVar("T")


class Gate:
    """`slots` is the bulkhead: how many requests this process may have under way."""

    def __init__(self, record: ProviderRecord, rules: BreakerRules, observer: Observer, *, slots: int) -> None:
        self._record = record
        self._rules = rules
        self._observer = observer
        self._slots = asyncio.Semaphore(slots)

    async def through(self, operation: str, send: Callable[[], Awaitable[T]], kind: Callable[[T], str]) -> T:
        """Sends one request and returns its answer, which `kind` gives a word for metrics.

        Raises ProviderSilenced, ProviderThrottled, ProviderFailed.
        """
        async with self._slots:
            permit = await self._record.take_permit()
            if not isinstance(permit, Permit):
                raise ProviderSilenced(permit)
            began = time.perf_counter()
            try:
                answer = await send()
            except ProviderThrottled as throttled:
                await self._throttled(operation, permit, throttled.wait_s, began)
                raise
            except ProviderRefused as refused:
                await self._well(operation, permit, refused.kind, began)
                raise
            except ProviderFailed as failed:
                await self._failed(operation, permit, failed, began)
                raise
            await self._well(operation, permit, kind(answer), began)
            return answer

    async def _well(self, operation: str, permit: Permit, kind: str, began: float) -> None:
        self._observer.answered(operation, kind, time.perf_counter() - began)
        await self._change(lambda provider, now: after_success(provider, permit, now))

    async def _throttled(self, operation: str, permit: Permit, wait_s: float, began: float) -> None:
        self._observer.answered(operation, "throttled", time.perf_counter() - began)
        await self._change(lambda provider, now: after_throttle(provider, permit, now, wait_s))

    async def _failed(self, operation: str, permit: Permit, failed: ProviderFailed, began: float) -> None:
        self._observer.answered(operation, failed.kind, time.perf_counter() - began)
        await self._change(lambda provider, now: after_failure(provider, permit, now, str(failed), self._rules))

    async def _change(self, after: Callable[[Provider, datetime], Provider]) -> None:
        before, now = await self._record.change(after)
        if now.breaker is not before.breaker:
            log.warning("breaker", state=now.breaker.name, failures=now.consecutive_failures, last_failure=now.last_failure)
