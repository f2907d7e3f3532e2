"""Ending tasks for sure.

In Python 3.11 a cancellation can get lost: `asyncio.wait_for`, which psycopg's pools use, drops one that comes just as what it waits for
is done (python/cpython#86296). A loop that only waits to be cancelled then goes on for ever, and whoever awaits its end with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import structlog

log = structlog.get_logger()


def going_on() -> bool:
    """Tells whether the current task was not cancelled, even if the cancellation itself got lost: the condition of endless loops."""
    task = asyncio.current_task()
    return task is None or not task.cancelling()


async def end_tasks(tasks: Iterable[asyncio.Task[Any]], *, patience_s: float) -> None:
    """Cancels the tasks and returns when all have ended; after `patience_s` the rest are cancelled again. Logs what they raise."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=patience_s)
        for task in done:
            if not task.cancelled() and task.exception() is not None:
                log.error("background work failed", error=repr(task.exception()))
