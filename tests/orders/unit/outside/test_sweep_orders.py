"""A sweep looks after each order once, whatever fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from services.orders.application.ordering.sweep_orders import SweepOrders
from services.orders.application.ordering.sweep_ports import Since, Waiting
from services.orders.domain.ordering.model import Order, State

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def waiting(number: int, state: State) -> Waiting:
    return Waiting(UUID(int=number), state, NOON + timedelta(seconds=number // 2))


class FakeOrders:
    """Orders that are due and stay so, as when their steps fail."""

    def __init__(self, due: Sequence[Waiting], cancelling: Sequence[Waiting] = ()) -> None:
        self._due = due
        self._cancelling = cancelling

    async def due(self, after: Since | None, limit: int) -> Sequence[Waiting]:
        return [order for order in self._due if after is None or order.place > after][:limit]

    async def cancelling(self, after: Since | None, limit: int) -> Sequence[Waiting]:
        return [order for order in self._cancelling if after is None or order.place > after][:limit]

    async def late_s(self) -> Mapping[State, float]:
        return {State.PAID: 60.0}

    async def short_levels(self) -> int:
        return 3


class FakeSteps:
    """Notes what is done; fails for the orders it is told to."""

    def __init__(self, *poisonous: int) -> None:
        self.done: list[tuple[str, int]] = []
        self._poisonous = poisonous

    async def expire(self, order_id: UUID) -> bool:
        return self._do("expire", order_id)

    async def auto_complete(self, order_id: UUID) -> bool:
        return self._do("auto_complete", order_id)

    async def mark_overdue(self, order_id: UUID) -> bool:
        return self._do("mark_overdue", order_id)

    async def resume(self, order_id: UUID) -> Order | None:
        self._do("resume", order_id)
        return None

    def _do(self, step: str, order_id: UUID) -> bool:
        if order_id.int in self._poisonous:
            raise RuntimeError("poison")
        self.done.append((step, order_id.int))
        return True


class FakeObserver:
    def __init__(self) -> None:
        self.expired = 0
        self.failures: list[str] = []
        self.late: Mapping[State, float] = {}
        self.short = 0

    def holds_expired(self, count: int) -> None:
        self.expired += count

    def sweep_failed(self, step: str, error: Exception) -> None:
        self.failures.append(step)

    def lateness_seen(self, late_s: Mapping[State, float]) -> None:
        self.late = late_s

    def shortfall_seen(self, levels: int) -> None:
        self.short = levels


async def test_each_state_is_left_by_its_own_step() -> None:
    due = [waiting(1, State.PENDING_PAYMENT), waiting(2, State.UNDER_REVIEW), waiting(3, State.SHIPPED), waiting(4, State.READY)]
    steps, observer = FakeSteps(), FakeObserver()
    assert await SweepOrders(FakeOrders(due, [waiting(5, State.PENDING_PAYMENT)]), steps, observer, batch=10).sweep() == 4
    assert steps.done == [("expire", 1), ("expire", 2), ("auto_complete", 3), ("mark_overdue", 4), ("resume", 5)]
    assert observer.expired == 2


async def test_orders_that_stay_and_orders_that_fail_keep_no_other_waiting() -> None:
    """The poisonous ones come first and fill whole batches."""
    due = [waiting(number, State.PENDING_PAYMENT) for number in range(1, 12)]
    steps, observer = FakeSteps(1, 2, 3, 4, 5), FakeObserver()
    assert await SweepOrders(FakeOrders(due), steps, observer, batch=2).sweep() == 6
    assert [number for _, number in steps.done] == list(range(6, 12))
    assert observer.failures == ["due"] * 5


async def test_the_figures_are_told() -> None:
    observer = FakeObserver()
    await SweepOrders(FakeOrders([]), FakeSteps(), observer, batch=2).measure()
    assert (observer.late, observer.short) == ({State.PAID: 60.0}, 3)
