"""The simulator inside a test's own process, on a free loopback port, with handles to what it does."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal

from deploy.local.accrual_sim.arrivals import Arrival
from deploy.local.accrual_sim.faults import Fault, Operation, ScheduledFault
from deploy.local.accrual_sim.orders import Status
from deploy.local.accrual_sim.postgres_storage import opened_storage
from deploy.local.accrual_sim.rewards import Good, Reward, RewardType
from deploy.local.accrual_sim.server import listening
from deploy.local.accrual_sim.simulator import Behaviour, Simulator
from shared.clock import Clock, SystemClock

_HOST = "127.0.0.1"
_GRACE_S = 0.1


class SimulatorHandle:
    """A running simulator; its parts are reached directly, without HTTP."""

    def __init__(self, simulator: Simulator, *, clock: Clock) -> None:
        self.simulator = simulator
        self._clock = clock
        self._port = 0
        self._server = AsyncExitStack()

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://{_HOST}:{self._port}"

    async def start_listening(self) -> None:
        """Opens the port, the same one again after `stop_listening`."""
        self._port = await self._server.enter_async_context(
            listening(self.simulator, _HOST, self._port, clock=self._clock, grace_s=_GRACE_S)
        )

    async def stop_listening(self) -> None:
        """Closes the port and all connections, as an outage does; goods, orders and the log stay."""
        await self._server.aclose()

    def set_faults(self, *faults: Fault) -> None:
        """Replaces the schedule of faults; without any it is emptied."""
        self.simulator.faults.replace(faults)

    @property
    def faults(self) -> Sequence[ScheduledFault]:
        """The schedule with how often each fault fired."""
        return self.simulator.faults.scheduled

    def arrivals(self, *, order: str | None = None, operation: Operation | None = Operation.GET_ORDER) -> list[Arrival]:
        """Returns the questions about `order`, or all, oldest first; `operation` None includes the POSTs."""
        return self.simulator.arrivals.of(order=order, operation=operation)

    async def register_reward(self, match: str, reward: Decimal | int, reward_type: RewardType = RewardType.PERCENT) -> None:
        """Registers goods with a reward. Raises ValueError if the match is registered."""
        if not await self.simulator.register_reward(Reward(match, Decimal(reward), reward_type)):
            raise ValueError(f"{match} is registered")

    async def register_order(self, number: str, *goods: Good) -> None:
        """Registers an order, which goes through the calculation. Raises ValueError if it is registered."""
        if not await self.simulator.register_order(number, goods):
            raise ValueError(f"{number} is registered")

    async def settle_order(self, number: str, status: Status = Status.PROCESSED, accrual: Decimal | int | None = None) -> None:
        """Gives an order, known or not, this answer from now on."""
        await self.simulator.settle_order(number, status, None if accrual is None else Decimal(accrual))

    def behave(
        self, *, calculation_delay_s: float | None = None, rate_limit_per_minute: int | None = None, auto_register: bool | None = None
    ) -> None:
        """Changes what is given."""
        now = self.simulator.behaviour
        self.simulator.behave(
            Behaviour(
                now.calculation_delay_s if calculation_delay_s is None else calculation_delay_s,
                now.rate_limit_per_minute if rate_limit_per_minute is None else rate_limit_per_minute,
                now.auto_register if auto_register is None else auto_register,
            )
        )

    async def reset(self) -> None:
        """Back to the start: no goods, orders, faults or arrivals, the first behaviour."""
        self.simulator.reset()
        await self.simulator.storage.clear()


@asynccontextmanager
async def running_simulator(
    *,
    database_uri: str | None = None,
    calculation_delay_s: float = 0.0,
    rate_limit_per_minute: int = 1_000_000,
    auto_register: bool = False,
    clock: Clock | None = None,
    seed: int = 0,
) -> AsyncIterator[SimulatorHandle]:
    """Runs a simulator on the running loop; without `database_uri` it keeps everything in memory. `seed` decides about probable faults."""
    behaviour = Behaviour(calculation_delay_s, rate_limit_per_minute, auto_register)
    used_clock = clock or SystemClock()
    async with opened_storage(database_uri) as storage:
        simulator = Simulator(storage, behaviour, clock=used_clock, chance=random.Random(seed))  # noqa: S311 (faults, not secrets)
        handle = SimulatorHandle(simulator, clock=used_clock)
        await handle.start_listening()
        try:
            yield handle
        finally:
            await handle.stop_listening()
