"""The simulated provider apart from HTTP: requests one after another, answers under idempotency keys, time that passes, webhooks sent."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace

import aiohttp
import psycopg

from deploy.local.payment_sim import machine, webhooks
from deploy.local.payment_sim.arrivals import ArrivalLog
from deploy.local.payment_sim.books import Books, Draft, new_id
from deploy.local.payment_sim.chaos import Chaos, ChaosSettings
from deploy.local.payment_sim.documents import intent_document
from deploy.local.payment_sim.errors import ApiError, internal_error, key_in_use, key_reused
from deploy.local.payment_sim.faults import Fault, FaultKind, FaultSchedule, Operation, Subject
from deploy.local.payment_sim.machine import Delays, Work
from deploy.local.payment_sim.models import Delivery, Document, Event, Intent, KeptAnswer
from deploy.local.payment_sim.operations import Command, Question
from deploy.local.payment_sim.storage import Storage
from deploy.local.payment_sim.webhooks import Endpoint
from shared.clock import Clock

# The provider may forget a key after a day.
KEY_LIFETIME_S = 86_400.0
IDLE_S = 1.0
SENT_AT_ONCE_MAX = 32
_log = logging.getLogger("payment_sim")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What may be changed while the simulator runs. `api_key` empty takes any; `latency_s` is what each API request takes.

    A request that takes longer by itself is answered when it is done.
    """

    delays: Delays = field(default_factory=Delays)
    endpoint: Endpoint = field(default_factory=Endpoint)
    latency_s: float = 0.0
    api_key: str = field(default="", repr=False)
    chaos: ChaosSettings | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """A write: where it was sent, by which key, and what tells it from others under the same key."""

    path: str
    key: str = ""
    fingerprint: str = ""
    request_id: str = ""
    base_url: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API says; `replayed` names the request that was answered so first."""

    status: int
    body: str
    replayed: str = ""


class Simulator:
    """The provider. What it keeps is in the storage; faults and the log of arrivals live in this process."""

    def __init__(self, storage: Storage, behaviour: Behaviour, *, clock: Clock, chance: random.Random) -> None:
        self.storage = storage
        self.faults = FaultSchedule(chance=chance)
        self.arrivals = ArrivalLog()
        self.behaviour = behaviour
        self._initial_behaviour = behaviour
        self._chaos = Chaos(behaviour.chaos) if behaviour.chaos else None
        self._clock = clock
        self._books = Books()
        self._is_current = False
        self._lock = asyncio.Lock()
        self._keys_in_use: set[str] = set()
        self._changed = asyncio.Event()
        self._sending: dict[str, asyncio.Task[None]] = {}

    @property
    def now(self) -> float:
        return self._clock.now().timestamp()

    @property
    def books(self) -> Books:
        """What is known now. Not to be kept: it may be replaced."""
        return self._books

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Lets time pass and sends webhooks for the length of the block. Raises psycopg.Error."""
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()) as session:
            async with self._lock:
                await self._become_current()
            passing = asyncio.create_task(self._pass_time(session))
            try:
                yield
            finally:
                ending = [passing, *self._sending.values()]
                for task in ending:
                    task.cancel()
                await asyncio.gather(*ending, return_exceptions=True)

    def behave(self, behaviour: Behaviour) -> None:
        """Changes the behaviour; what is under way keeps its times."""
        self.behaviour = behaviour
        self._chaos = Chaos(behaviour.chaos) if behaviour.chaos else None
        self._changed.set()

    async def reset(self) -> None:
        """Back to the start: no records, faults or arrivals, the first behaviour."""
        self.faults.replace([])
        self.arrivals.clear()
        self.reset_behaviour()
        await self.forget()

    def reset_behaviour(self) -> None:
        """Back to the first behaviour."""
        self.behave(self._initial_behaviour)

    async def forget(self) -> None:
        """Forgets all records."""
        async with self._lock:
            await self.storage.clear()
            self._books, self._is_current = Books(), True

    def fault_for(self, subject: Subject) -> Fault | None:
        """Returns what goes wrong with a request or a webhook."""
        return self.faults.take(subject) or (self._chaos.fault(subject.operation) if self._chaos else None)

    async def ask(self, question: Question) -> Document:
        """Answers a question about what is known now. Raises ApiError."""
        async with self._lock:
            await self._become_current()
            return question(self._books)

    async def perform(self, command: Command, request: Request, fault: Fault | None = None) -> Answer:
        """Carries out a write, or repeats the answer that its key got first. Raises ApiError for what is kept under no key."""
        if request.key in self._keys_in_use or (fault and fault.kind is FaultKind.KEY_IN_USE):
            raise key_in_use(request.key)
        with self._in_use(request.key):
            if fault and fault.kind is FaultKind.SLOW and not fault.after:
                await asyncio.sleep(fault.delay_s)
            return await self._perform(command, request, fault)

    @contextmanager
    def _in_use(self, key: str) -> Iterator[None]:
        if key:
            self._keys_in_use.add(key)
        try:
            yield
        finally:
            self._keys_in_use.discard(key)

    async def _perform(self, command: Command, request: Request, fault: Fault | None) -> Answer:
        async with self._lock:
            await self._become_current()
            kept = self._books.find(KeptAnswer, request.key) if request.key else None
            if kept is not None and self.now - kept.created < KEY_LIFETIME_S:
                if kept.fingerprint != request.fingerprint:
                    raise key_reused(request.key, kept.path, request.path)
                return Answer(kept.status, kept.body, kept.request_id)
            work = self._work(request.base_url, fault)
            work.shown_at += self.behaviour.latency_s
            answer = self._carried_out(work, command, fault)
            if request.key:
                draft = KeptAnswer(request.key, self.now, request.fingerprint, request.path, answer.status, answer.body, request.request_id)
                work.draft.put(draft)
            await self._commit(work)
            return answer

    def _work(self, base_url: str = "", fault: Fault | None = None) -> Work:
        kind = fault.kind if fault else None
        forced = fault.card if fault and kind is FaultKind.CARD else ""
        now = self.now
        return Work(Draft(self._books), now, now, self.behaviour.delays, base_url, forced, kind is FaultKind.CAPTURE_LESS)

    def _carried_out(self, work: Work, command: Command, fault: Fault | None) -> Answer:
        """Raises ApiError for what is kept under no key."""
        broken = fault is not None and fault.kind is FaultKind.INTERNAL_ERROR
        try:
            if broken and fault and not fault.after:
                raise internal_error()
            document = command(work)
            if broken:
                raise internal_error()
        except ApiError as error:
            if not error.kept:
                raise
            return Answer(error.status, error_body(error, work.draft))
        return Answer(200, json.dumps(document, indent=2))

    async def _commit(self, work: Work) -> None:
        """Stores the work with the deliveries of its events, then makes it true here."""
        if self.behaviour.endpoint.url:
            for place, event in enumerate(work.events):
                for delivery in self._deliveries(work, event, place):
                    work.draft.put(delivery)
        try:
            await self.storage.write(work.draft.changed, work.draft.removed)
        except BaseException:
            # Failed or cut short, whether it is stored is not known: what is true is read again before anything else.
            self._is_current = False
            raise
        self._books.apply(work.draft)
        self._changed.set()

    def _deliveries(self, work: Work, event: Event, place: int) -> list[Delivery]:
        intent = work.draft.find(Intent, event.intent)
        metadata = intent.metadata if intent else {}
        fault = self.fault_for(Subject(Operation.WEBHOOK, event.intent, event.intent, metadata, event.type))
        return webhooks.deliveries_of(event, fault, work.shown_at, place, len(work.events))

    async def _become_current(self) -> None:
        """Reads the store if what it holds is not known, and lets happen what is due. Raises psycopg.Error."""
        if not self._is_current:
            self._books = Books(await self.storage.load())
            self._is_current = True
        due = self._books.due(self.now)
        if not due:
            return
        work = self._work()
        for record in due:
            machine.pass_time(work, record)
        await self._commit(work)

    async def _pass_time(self, session: aiohttp.ClientSession) -> None:
        while True:
            self._changed.clear()
            try:
                async with self._lock:
                    await self._become_current()
                    self._send_due(session)
                    wait_s = self._idle_s()
            except psycopg.Error as error:
                _log.warning("the database cannot be used: %s", error)
                wait_s = IDLE_S
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _idle_s(self) -> float:
        waiting = [delivery.due_at for delivery in self._books.all(Delivery) if delivery.id not in self._sending]
        due_at = self._books.next_due_at()
        soonest = min([*waiting, *([due_at] if due_at is not None else [])], default=None)
        at_limit = len(self._sending) >= SENT_AT_ONCE_MAX
        return IDLE_S if soonest is None or at_limit else min(IDLE_S, max(0.001, soonest - self.now))

    def _send_due(self, session: aiohttp.ClientSession) -> None:
        if not self.behaviour.endpoint.url:
            return
        for delivery in self._books.all(Delivery):
            if len(self._sending) >= SENT_AT_ONCE_MAX:
                return
            if delivery.due_at <= self.now and delivery.id not in self._sending:
                self._sending[delivery.id] = asyncio.create_task(self._send(session, delivery))

    async def _send(self, session: aiohttp.ClientSession, delivery: Delivery) -> None:
        try:
            event = self._books.find(Event, delivery.event)
            status = 0
            if event is not None:
                endpoint = self.behaviour.endpoint
                body = webhooks.body_of(event, self._books.pending_webhooks(event.id))
                status = await webhooks.post(session, endpoint, body, webhooks.header_of(endpoint, delivery, body, self.now))
            await self._note_sent(delivery, status, is_known=event is not None)
        except psycopg.Error as error:
            _log.warning("the database cannot be used: %s", error)
        finally:
            self._sending.pop(delivery.id, None)
            self._changed.set()

    async def _note_sent(self, delivery: Delivery, status: int, *, is_known: bool) -> None:
        """Ends a delivery that was taken, and puts off one that was not."""
        endpoint = self.behaviour.endpoint
        taken = 200 <= status < 300
        over = taken or not is_known or delivery.flaw == FaultKind.REPLAYED or delivery.attempt + 1 >= endpoint.attempts_max
        async with self._lock:
            await self._become_current()
            if self._books.find(Delivery, delivery.id) is None:
                return
            work = self._work()
            if over:
                work.draft.remove(delivery)
            else:
                due_at = self.now + endpoint.pause_s(delivery.attempt)
                flaw = "" if delivery.flaw == FaultKind.WRONG_SECRET else delivery.flaw
                work.draft.put(replace(delivery, due_at=due_at, attempt=delivery.attempt + 1, flaw=flaw))
            await self._commit(work)

    async def resend(self, event: str, flaw: str = "") -> None:
        """Sends an event once more, as the provider's own tools can. Raises ApiError."""

        def command(work: Work) -> Document:
            work.draft.put(Delivery(new_id("whd_"), work.get(Event, event, "event").id, self.now, flaw=flaw))
            return {}

        await self.perform(command, Request("/control"))


def error_body(error: ApiError, draft: Draft | None = None) -> str:
    """Returns the body that says no, with the payment intent as the refusal left it."""
    intent = draft.find(Intent, error.intent) if draft and error.intent else None
    shown = {"payment_intent": intent_document(intent)} if intent else {}
    return json.dumps({"error": error.error | shown}, indent=2)
