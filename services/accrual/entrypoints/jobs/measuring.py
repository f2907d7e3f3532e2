"""Reads what waits and how the provider is, for metrics: the same in every replica."""

from __future__ import annotations

import asyncio

import structlog

from services.accrual.application.ports import Observer, PollQueue, ProviderRecord
from shared.tasks import going_on

log = structlog.get_logger()

EVERY_S = 5.0


class Measuring:
    def __init__(self, queue: PollQueue, record: ProviderRecord, observer: Observer) -> None:
        self._queue = queue
        self._record = record
        self._observer = observer

    async def run(self) -> None:
        """Runs until cancelled."""
        while going_on():
            try:
                self._observer.provider_seen(*await self._record.read())
                self._observer.backlog_seen(await self._queue.backlog())
            except Exception as error:  # noqa: BLE001  figures are no reason to end a process
                log.warning("the backlog could not be measured", error=repr(error))
            await asyncio.sleep(EVERY_S)
