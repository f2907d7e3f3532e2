"""The simulated accrual system apart from HTTP: rewards, orders, the rate limit, faults and the log of arrivals."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from deploy.local.accrual_sim.arrivals import Arrival, ArrivalLog
from deploy.local.accrual_sim.faults import FaultSchedule, Operation
from deploy.local.accrual_sim.orders import NUMBER_LENGTH_MAX, Answer, Status, automatic_order, calculated_order, settled_order
from deploy.local.accrual_sim.rewards import Good, Reward, accrual_of
from deploy.local.accrual_sim.storage import Storage
from deploy.local.simulation.rate_limit import SlidingWindowLimiter
from shared.clock import Clock
from shared.luhn import is_luhn_valid


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What may be changed while the simulator runs."""

    calculation_delay_s: float = 1.0
    rate_limit_per_minute: int = 6000
    auto_register: bool = False


class Simulator:
    """The accrual system. Faults, behaviour and the log of arrivals live in this process; rewards and orders in the storage."""

    def __init__(self, storage: Storage, behaviour: Behaviour, *, clock: Clock, chance: random.Random) -> None:
        self.storage = storage
        self.faults = FaultSchedule(chance=chance)
        self.arrivals = ArrivalLog()
        self._limiter = SlidingWindowLimiter(behaviour.rate_limit_per_minute)
        self._initial_behaviour = behaviour
        self._behaviour = behaviour
        self._clock = clock

    @property
    def behaviour(self) -> Behaviour:
        """How it behaves now."""
        return self._behaviour

    def behave(self, behaviour: Behaviour) -> None:
        """Changes the behaviour; a new calculation delay counts for orders taken from now on."""
        self._behaviour = behaviour
        self._limiter.limit = behaviour.rate_limit_per_minute

    def reset(self) -> None:
        """Back to the start: no faults, no arrivals, the first behaviour, an unused rate limit. Rewards and orders stay."""
        self.faults.replace([])
        self.arrivals.clear()
        self.reset_behaviour()

    def reset_behaviour(self) -> None:
        """Back to the first behaviour, with an unused rate limit."""
        self.behave(self._initial_behaviour)
        self._limiter.clear()

    def arrived(self, operation: Operation, order: str | None) -> Arrival:
        """Writes a request into the log; its status is filled in when it is answered."""
        arrival = Arrival(operation, order, self._clock.now(), time.monotonic())
        self.arrivals.add(arrival)
        return arrival

    def throttled_for(self, operation: Operation) -> float | None:
        """Counts a request against the rate limit; returns None, or for how many seconds the caller must stay silent."""
        return self._limiter.admit() if operation is Operation.GET_ORDER else None

    async def register_reward(self, reward: Reward) -> bool:
        """Returns False if the match is registered already."""
        return await self.storage.add_reward(reward)

    async def register_order(self, number: str, goods: Sequence[Good]) -> bool:
        """Takes an order; it earns what the rewards of this moment give. Returns False if it was taken before."""
        accrual = accrual_of(goods, await self.storage.rewards())
        return await self.storage.add_order(
            calculated_order(number, accrual, now=self._clock.now(), delay_s=self._behaviour.calculation_delay_s)
        )

    async def settle_order(self, number: str, status: Status, accrual: Decimal | None = None) -> None:
        """Gives an order, known or not, this status from now on; `accrual` (points) is shown with PROCESSED only."""
        await self.storage.put_order(settled_order(number, status, accrual, now=self._clock.now()))

    async def answer(self, number: str) -> Answer | None:
        """Returns what is known about an order now, None if it is not registered, which `auto_register` then does."""
        if not is_order_number(number):
            return None
        order = await self.storage.order(number)
        if order is None and self._behaviour.auto_register:
            order = automatic_order(number, now=self._clock.now(), delay_s=self._behaviour.calculation_delay_s)
            if order is not None and not await self.storage.add_order(order):
                order = await self.storage.order(number)
        return None if order is None else order.answer_at(self._clock.now())


def is_order_number(text: str) -> bool:
    """Tells whether `text` is ASCII digits with the right check digit, and not too long."""
    return len(text) <= NUMBER_LENGTH_MAX and is_luhn_valid(text)
