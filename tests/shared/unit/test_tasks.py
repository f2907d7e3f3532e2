"""Tasks end when they are told to, even where a cancellation gets lost on the way."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from shared.tasks import end_tasks, going_on


async def lose_a_cancellation() -> None:
    """What Python 3.11's wait_for does now and then."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return


async def test_a_loop_ends_though_what_it_awaited_swallowed_the_cancellation() -> None:
    async def loop() -> None:
        while going_on():
            await lose_a_cancellation()

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)

    async with asyncio.timeout(1):
        await end_tasks([task], patience_s=60)

    assert task.done()


async def test_a_task_that_lost_its_cancellation_is_cancelled_again() -> None:
    async def stubborn() -> None:
        await lose_a_cancellation()
        await asyncio.sleep(60)

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)

    async with asyncio.timeout(1):
        await end_tasks([task], patience_s=0.01)

    assert task.cancelled()


async def test_one_tasks_failure_keeps_no_other_from_ending() -> None:
    async def failing() -> None:
        raise ValueError("broken")

    tasks = [asyncio.create_task(failing()), asyncio.create_task(asyncio.sleep(60))]
    await asyncio.sleep(0)

    with capture_logs() as lines:
        await end_tasks(tasks, patience_s=1)

    assert all(task.done() for task in tasks)
    # Servers of other tests may be logging too: the loop is one for the whole session.
    failures = [line["error"] for line in lines if line["event"] == "background work failed"]
    assert failures == ["ValueError('broken')"]
