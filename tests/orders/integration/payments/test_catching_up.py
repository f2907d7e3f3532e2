"""Messages that never came are looked for in the provider's list, of which no more is read each time than can be new."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from deploy.local.payment_sim.faults import Fault, FaultKind, Operation
from services.orders.adapters.http.stripe.provider import StripeLimits, StripeProvider
from services.orders.adapters.http.stripe.webhooks import StripeWebhooks
from services.orders.adapters.postgres.provider_messages import PostgresMessages
from services.orders.application.payments.ports import ProviderEvent
from services.orders.application.payments.take_messages import TakeMessages
from shared.clock import SystemClock
from tests.orders.counter import Crew
from tests.orders.till import Till


class ListedSince(StripeProvider):
    """Remembers from when on messages were listed."""

    def __init__(self, till: Till) -> None:
        settings = till.container.settings()
        assert settings.payment_provider_key_file is not None
        key = settings.payment_provider_key_file.read_text()
        super().__init__(settings.payment_provider_address, key, settings.payment_return_url, StripeLimits(), SystemClock())
        self.since: list[datetime] = []

    async def list_events(self, since: datetime) -> AsyncIterator[tuple[bytes, ProviderEvent]]:
        self.since.append(since)
        async for each in super().list_events(since):
            yield each


@pytest.fixture
async def provider(till: Till) -> AsyncIterator[ListedSince]:
    till.simulator.set_faults(Fault(FaultKind.LOST, operation=Operation.WEBHOOK))
    async with ListedSince(till).opened() as provider:
        assert isinstance(provider, ListedSince)
        yield provider


def taking(till: Till, provider: ListedSince) -> TakeMessages:
    """As a replica that has just started."""
    paying, clock = till.container.paying(), SystemClock()
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
