"""Messages that never came are looked for in the provider's list, of which no more is read each time than can be new."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from deploy.local.payment_sim.faults import Fault, FaultKind, Operation
from services.orders.adapters.http.stripe.provider import StripeLimits, StripeProvider
from services.orders.adapters.http.stripe.webhooks import StripeWebhooks
from services.orders.adapters.postgres.provider_messages import PostgresMessages
from services.orders.application.payments.ports import OutcomeUnknown, ProviderEvent
from services.orders.application.payments.take_messages import TakeMessages
from shared.clock import Clock, SystemClock
from tests.orders.counter import Crew, order_id
from tests.orders.till import Till


class ListedSince(StripeProvider):
    """Remembers from when on messages were listed. `made_at` says when events were really made, `longest` what is too long a list."""

    def __init__(self, till: Till) -> None:
        settings = till.container.settings()
        assert settings.payment_provider_key_file is not None
        key = settings.payment_provider_key_file.read_text()
        super().__init__(settings.payment_provider_address, key, settings.payment_return_url, StripeLimits(), SystemClock())
        self.since: list[datetime] = []
        self.made_at: dict[str, datetime] = {}
        self.longest = timedelta.max

    async def list_events(self, since: datetime) -> AsyncIterator[Sequence[tuple[bytes, ProviderEvent]]]:
        self.since.append(since)
        if self._clock.now() - since > self.longest:
            raise OutcomeUnknown("the list is too long")
        async for page in super().list_events(since):
            made = [(body, replace(event, created_at=self.made_at.get(event.id, event.created_at))) for body, event in page]
            yield [(body, event) for body, event in made if event.created_at >= since.replace(microsecond=0)]


class AheadClock(SystemClock):
    """The time, and so much later."""

    ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


@pytest.fixture
async def provider(till: Till) -> AsyncIterator[ListedSince]:
    till.simulator.set_faults(Fault(FaultKind.LOST, operation=Operation.WEBHOOK))
    async with ListedSince(till).opened() as provider:
        assert isinstance(provider, ListedSince)
        yield provider


def taking(till: Till, provider: ListedSince, clock: Clock | None = None) -> TakeMessages:
    """As a replica that has just started."""
    paying, clock = till.container.paying(), clock or SystemClock()
    inbox = PostgresMessages(till.container.engine(), till.container.jobs())
    drivers = (paying.driver(), paying.refund_driver())
    webhooks = StripeWebhooks((), clock)
    observer, failing = till.container.payment_metrics(), paying.failing()
    return TakeMessages(webhooks, inbox, paying.records(), paying.refund_records(), provider, *drivers, clock, observer, failing)


async def test_a_message_that_never_came_is_found_once(till: Till, crew: Crew, provider: ListedSince) -> None:
    messages = taking(till, provider)
    await messages.catch_up()
    await till.pay(crew.customer, await till.counter.ordered(crew.customer), card="")

    found = [await messages.catch_up(), await messages.catch_up()]

    assert found == [1, 0]


async def test_only_the_end_of_the_list_is_looked_through_again(till: Till, crew: Crew, provider: ListedSince) -> None:
    messages = taking(till, provider)
    await till.pay(crew.customer, await till.counter.ordered(crew.customer), card="")

    for _ in range(2):
        await messages.catch_up()

    first, second = provider.since
    now = SystemClock().now()
    assert now - first > timedelta(minutes=9)
    assert timedelta(minutes=1) <= now - second < timedelta(minutes=2)


async def test_a_message_that_comes_into_the_list_very_late_is_found(till: Till, crew: Crew, provider: ListedSince) -> None:
    """Somebody gave money back at the provider itself, its list told of that eight minutes later, and it was never sent."""
    clock = AheadClock()
    messages = taking(till, provider, clock)
    order = await till.counter.ordered(crew.customer)
    await till.pay(crew.customer, order)
    await messages.catch_up()
    (intent,) = till.simulator.intents(order_id=str(order_id(order)))
    await till.simulator.refund(intent["id"], 100)
    late = next(event.id for event in till.simulator.events(intent["id"]) if event.type == "refund.created")
    provider.made_at[late] = clock.now() - timedelta(minutes=8)

    is_stored = []
    for minutes in (8, 9, 10, 11):
        clock.ahead = timedelta(minutes=minutes)
        await messages.catch_up()
        is_stored.append(bool(await till.counter.rows("select 1 from webhook_event where event_id = %s", late)))

    assert is_stored == [False, False, True, True]
    looked_back, after = provider.since[-2:]
    assert timedelta(minutes=19) < SystemClock().now() - looked_back < timedelta(minutes=21)
    assert SystemClock().now() - after < timedelta(minutes=2)


async def test_a_list_that_is_too_long_to_look_back_in_keeps_nobody_from_its_end(till: Till, crew: Crew, provider: ListedSince) -> None:
    clock = AheadClock()
    messages = taking(till, provider, clock)
    await till.pay(crew.customer, await till.counter.ordered(crew.customer), card="")
    await messages.catch_up()
    provider.longest, clock.ahead = timedelta(minutes=5), timedelta(minutes=10)
    lost = []
    for _ in range(2):
        order = await till.counter.ordered(crew.customer)
        await till.pay(crew.customer, order, card="")
        (intent,) = till.simulator.intents(order_id=str(order_id(order)))
        lost.append([event.id for event in till.simulator.events(intent["id"])])

        if len(lost) == 1:
            with pytest.raises(OutcomeUnknown):
                await messages.catch_up()
        else:
            assert await messages.catch_up() == 1
        assert len(await till.counter.rows("select from webhook_event where event_id = any(%s)", lost[-1])) == 1


async def test_whoever_has_just_started_looks_as_far_back(till: Till, crew: Crew, provider: ListedSince) -> None:
    """What came very late into the list, while nobody ran, is found by nobody else."""
    await till.pay(crew.customer, await till.counter.ordered(crew.customer), card="")
    await taking(till, provider).catch_up()
    await taking(till, provider).catch_up()

    assert timedelta(minutes=19) < SystemClock().now() - provider.since[-1] < timedelta(minutes=21)


async def test_what_never_came_is_stored_oldest_first(till: Till, crew: Crew, provider: ListedSince) -> None:
    """Whoever dies in between goes on at the newest that is stored: what is older must be there."""
    messages = taking(till, provider)
    await messages.catch_up()
    before = len(till.simulator.events())
    for _ in range(40):
        await till.pay(crew.customer, await till.counter.ordered(crew.customer))

    assert await messages.catch_up() == 120

    made = [event.id for event in till.simulator.events()[before:]]
    stored = await till.counter.rows("select event_id from webhook_event where event_id = any(%s) order by received_at", made)
    assert [row.event_id for row in stored] == made


async def test_a_list_that_could_not_be_stored_is_looked_through_again(till: Till, crew: Crew, provider: ListedSince) -> None:
    messages = taking(till, provider)
    await till.pay(crew.customer, await till.counter.ordered(crew.customer), card="")
    await messages.catch_up()
    await till.pay(crew.customer, await till.counter.ordered(crew.customer), card="")
    await till.counter.rows("alter table webhook_event rename to webhook_events")
    with pytest.raises(Exception, match="webhook_event"):
        await messages.catch_up()
    await till.counter.rows("alter table webhook_events rename to webhook_event")

    assert await messages.catch_up() == 1
    assert provider.since[1] == provider.since[2]
