"""The simulator inside a test's own process, on a free loopback port, with handles to what it does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from deploy.local.payment_sim import operations, signatures
from deploy.local.payment_sim.arrivals import Arrival
from deploy.local.payment_sim.control import money
from deploy.local.payment_sim.documents import intent_document
from deploy.local.payment_sim.faults import Fault, Operation, ScheduledFault
from deploy.local.payment_sim.forms import Params
from deploy.local.payment_sim.machine import Delays
from deploy.local.payment_sim.models import Delivery, Document, Event, Intent
from deploy.local.payment_sim.postgres_storage import opened_storage
from deploy.local.payment_sim.server import listening
from deploy.local.payment_sim.simulator import Answer, Behaviour, Request, Simulator
from deploy.local.payment_sim.webhooks import Endpoint, body_of
from shared.clock import Clock, SystemClock

API_KEY = "sk_test_galen"
WEBHOOK_SECRET = "whsec_galen_test"  # noqa: S105 (of a simulator in a test)
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
        """Closes the port and all connections, as an outage does; records, webhooks and the log stay."""
        await self._server.aclose()

    def set_faults(self, *faults: Fault) -> None:
        """Replaces the schedule of faults; without any it is emptied."""
        self.simulator.faults.replace(faults)

    @property
    def faults(self) -> Sequence[ScheduledFault]:
        """The schedule with how often each fault fired."""
        return self.simulator.faults.scheduled

    def arrivals(self, operation: Operation | None = None, *, key: str | None = None) -> list[Arrival]:
        """Returns the requests, oldest first; all where None is given."""
        return self.simulator.arrivals.of(operation=operation, key=key)

    def behave(self, *, delays: Delays | None = None, endpoint: Endpoint | None = None, latency_s: float | None = None) -> None:
        """Changes what is given."""
        now = self.simulator.behaviour
        self.simulator.behave(
            replace(
                now,
                delays=delays or now.delays,
                endpoint=endpoint or now.endpoint,
                latency_s=now.latency_s if latency_s is None else latency_s,
            )
        )

    def send_webhooks_to(self, url: str, *secrets: str, retry_first_s: float = 0.05) -> None:
        """Sends what happens from now on there, signed with each of the secrets (WEBHOOK_SECRET if none is given)."""
        self.behave(endpoint=Endpoint(url, secrets or (WEBHOOK_SECRET,), retry_first_s=retry_first_s, retry_max_s=1.0))

    async def all_delivered(self, *, timeout_s: float = 10.0) -> None:
        """Waits until no webhook is under way. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            while next(iter(self.simulator.books.all(Delivery)), None) is not None:  # noqa: ASYNC110 (they end in many ways)
                await asyncio.sleep(0.01)

    async def confirm(self, intent: str, card: str = "pm_card_visa") -> Answer:
        """Pays as the payer's browser does, with the client secret; a decline is an answer of 402."""
        return await self._perform(operations.confirm_intent(intent, Params({"payment_method": card})))

    async def complete_action(self, intent: str, *, succeeded: bool = True) -> Answer:
        """Does what the payer is asked for."""
        return await self._perform(operations.complete_action(intent, succeeded=succeeded))

    async def cancel(self, intent: str) -> Answer:
        """Cancels behind the shop's back, as a person at the provider's dashboard can."""
        return await self._perform(operations.cancel_intent(intent, Params({})))

    async def refund(self, intent: str, amount: int | None = None) -> Answer:
        """Refunds behind the shop's back."""
        given = {"payment_intent": intent} | ({} if amount is None else {"amount": str(amount)})
        return await self._perform(operations.create_refund(Params(given)))

    async def _perform(self, command: operations.Command) -> Answer:
        return await self.simulator.perform(command, Request("/test", base_url=self.url))

    def intents(self, **metadata: str) -> list[Document]:
        """Returns the intents with these metadata, oldest first, as the API shows them."""
        return [
            intent_document(intent)
            for intent in self.simulator.books.all(Intent)
            if all(intent.metadata.get(name) == value for name, value in metadata.items())
        ]

    def events(self, intent: str | None = None) -> list[Event]:
        """Returns the events of an intent, or all, oldest first."""
        return [event for event in self.simulator.books.all(Event) if intent in (None, event.intent)]

    def signed(self, event: Event, *, age_s: int = 0, secret: str = WEBHOOK_SECRET) -> tuple[bytes, str]:
        """Returns a webhook's body and signature header, for tests that deliver by themselves."""
        body = body_of(event, 1)
        return body, self.signature(body, age_s=age_s, secret=secret)

    def signature(self, body: bytes, *, age_s: int = 0, secret: str = WEBHOOK_SECRET) -> str:
        """Returns the signature header of any body."""
        return signatures.header([secret], int(self.simulator.now) - age_s, body)

    def money(self) -> Mapping[str, Any]:
        """Returns what was captured and refunded, by intent and in all, as `GET /control/money` does."""
        return money(self.simulator.books)

    async def reset(self) -> None:
        """Back to the start: no records, faults or arrivals, the first behaviour."""
        await self.simulator.reset()


@asynccontextmanager
async def running_simulator(
    *, database_uri: str | None = None, behaviour: Behaviour | None = None, clock: Clock | None = None, seed: int = 0
) -> AsyncIterator[SimulatorHandle]:
    """Runs a simulator on the running loop; without `database_uri` it keeps everything in memory. `seed` decides about probable faults.

    Unless told otherwise, what does not happen at once takes 50 ms, and webhooks go nowhere (`send_webhooks_to`).
    """
    used_clock = clock or SystemClock()
    used = behaviour or Behaviour(Delays(processing_s=0.05, refund_s=0.05))
    async with opened_storage(database_uri) as storage:
        simulator = Simulator(storage, used, clock=used_clock, chance=random.Random(seed))  # noqa: S311 (faults, not secrets)
        async with simulator.running():
            handle = SimulatorHandle(simulator, clock=used_clock)
            await handle.start_listening()
            try:
                yield handle
            finally:
                await handle.stop_listening()
