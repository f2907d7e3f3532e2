"""Looks after orders that nobody has left their state with in time, and those whose cancellation was interrupted.

It decides nothing: each step locks its order and judges it anew. So any number may sweep at once, beside payers and staff.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from uuid import UUID

import structlog

from services.orders.application.ordering.sweep_ports import Since, SweepObserver, TimeSteps, Waiting, WaitingOrders
from services.orders.domain.ordering.model import State
from shared.tasks import going_on

log = structlog.get_logger()

Look = Callable[[Since | None, int], Awaitable[Sequence[Waiting]]]


class SweepOrders:
    """An order whose step fails is passed over, and tried again in the next sweep: it never stops the others."""

    def __init__(self, orders: WaitingOrders, steps: TimeSteps, observer: SweepObserver, *, batch: int) -> None:
        self._orders = orders
        self._steps = steps
        self._observer = observer
        self._batch = batch

    async def sweep(self) -> int:
        """Looks after each order that is due or waits for the payment provider once; returns for how many something was done."""
        done = 0
        async for order in self._all(self._orders.due):
            done += await self._tried(order, "due", self._end)
        async for order in self._all(self._orders.cancelling):
            done += await self._tried(order, "cancelling", self._resume)
        return done

    async def measure(self) -> None:
        """Tells the observer how late orders are, and what stock does not suffice for."""
        self._observer.lateness_seen(await self._orders.late_s())
        self._observer.shortfall_seen(await self._orders.short_levels())

    async def _all(self, look: Look) -> AsyncIterator[Waiting]:
        """Batch after batch, each order once: one that stays does not keep the others waiting."""
        after: Since | None = None
        while going_on():
            found = await look(after, self._batch)
            for order in found:
                yield order
            if len(found) < self._batch:
                return
            after = found[-1].place

    async def _tried(self, order: Waiting, step: str, run: Callable[[Waiting], Awaitable[bool]]) -> bool:
        if not going_on():
            return False
        try:
            return await run(order)
        except Exception as error:  # noqa: BLE001  one order's failure must not keep the others waiting
            self._observer.sweep_failed(step, error)
            log.warning("an order could not be looked after", step=step, order_id=str(order.order_id), error=repr(error))
            return False

    async def _end(self, order: Waiting) -> bool:
        match order.state:
            case State.PENDING_PAYMENT | State.UNDER_REVIEW:
                return await self._expire(order.order_id)
            case State.SHIPPED:
                return await self._steps.auto_complete(order.order_id)
            case State.READY:
                return await self._alert(order.order_id)
            case _:
                return False

    async def _expire(self, order_id: UUID) -> bool:
        expired = await self._steps.expire(order_id)
        if expired:
            self._observer.holds_expired(1)
        return expired

    async def _alert(self, order_id: UUID) -> bool:
        raised = await self._steps.mark_overdue(order_id)
        if raised:
            log.warning("an order is not collected", order_id=str(order_id))
        return raised

    async def _resume(self, order: Waiting) -> bool:
        after = await self._steps.resume(order.order_id)
        if after is not None and after.state is State.EXPIRED:
            self._observer.holds_expired(1)
        return after is not None and after.state is not order.state
