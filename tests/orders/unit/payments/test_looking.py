"""Looks at payments outlive what fails, and tell of it."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
from prometheus_client import CollectorRegistry

from services.orders.adapters.payment_metrics import PaymentMetrics
from services.orders.entrypoints.jobs.payments import Looking


class BrokenRecords:
    """A database with a conflict in every statement."""

    async def under_way(self) -> None:
        raise psycopg.errors.DeadlockDetected("deadlock")


async def test_a_round_that_fails_is_told_of_and_followed_by_another() -> None:
    told: list[Exception] = []
    unused: Any = None
    records: Any = BrokenRecords()
    observer = PaymentMetrics(CollectorRegistry())
    looking = asyncio.create_task(Looking(records, unused, unused, unused, observer, every_s=0.001, on_failure=told.append).run())

    async with asyncio.timeout(5):
        while len(told) < 2:  # noqa: ASYNC110  it goes round by itself
            await asyncio.sleep(0.001)

    assert {type(error) for error in told} == {psycopg.errors.DeadlockDetected}
    looking.cancel()
    await asyncio.wait([looking])
