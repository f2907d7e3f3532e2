"""Events as they come: each at least once, in the order of their order, whatever commits late, disconnects or runs twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from random import Random
from typing import Any
from uuid import uuid4

import grpc
import psycopg
import pytest
import pytest_asyncio
from galen.orders.v1 import order_service_pb2 as messages
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orders.adapters.postgres import order_feed
from services.orders.adapters.postgres.order_feed import PostgresFeedWriter
from services.orders.adapters.postgres.tables import SCHEMA
from services.orders.settings import OrdersSettings
from shared.grpc.page_tokens import PageTokens
from shared.postgres.conninfo import service_conninfo
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities, Metadata
from tests.orders.till import eventually
from tests.orders.watching import EVERYBODY, Watcher, watching
from tests.orders.written_orders import Connection, WrittenOrder, write_event, write_orders


@pytest_asyncio.fixture
async def late_writer(reads_settings: OrdersSettings) -> AsyncIterator[Connection]:
    """Another connection, for a transaction that commits late."""
    conninfo = service_conninfo(reads_settings.database_uri, schema=SCHEMA, role=reads_settings.database_role)
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        yield connection


@pytest_asyncio.fixture
async def order(writer: Connection) -> WrittenOrder:
    return await new_order(writer)


async def new_order(writer: Connection, **fields: Any) -> WrittenOrder:
    order = WrittenOrder(**fields)
    await write_orders(writer, order)
    return order


def of(watcher: Watcher, *orders: WrittenOrder) -> list[str]:
    """Returns the names of the events that were told of these orders."""
    return [name for name in watcher.names if any(name.startswith(order.name) for order in orders)]


def has_heard(orders: Sequence[WrittenOrder], count: int, watcher: Watcher) -> bool:
    return len(of(watcher, *orders)) >= count


def event_names(order: WrittenOrder, last: int, first: int = 1) -> list[str]:
    return [f"{order.name}/events/{number}" for number in range(first, last + 1)]


async def test_a_customer_is_told_of_their_own_orders_only(
    reads: Any, writer: Connection, identities: Identities, order: WrittenOrder
) -> None:
    other = await new_order(writer)
    async with watching(reads, identities.customer(order.customer_id), f"customers/{order.customer_id}") as watcher:
        for number in (1, 2):
            await write_event(writer, other, number)
            await write_event(writer, order, number, reason=f"because {number}")
        await watcher.hear_events(2)
        await watcher.hear_heartbeats(1)

    assert watcher.names == event_names(order, 2)
    assert [(event.reason, event.order_number) for event in watcher.events] == [(f"because {n}", order.number) for n in (1, 2)]


@pytest.mark.parametrize("parent", [EVERYBODY, "customers/another"])
async def test_customers_watch_nobody_else(reads: Any, identities: Identities, parent: str) -> None:
    for caller in (identities.customer("me"), identities.service("accrual")):
        call = reads.WatchOrders(messages.WatchOrdersRequest(parent=parent), metadata=caller)
        assert (await refusal_of(call.read())).reason == "ACCESS_DENIED"


async def test_staff_are_told_of_all_orders_or_of_those_of_a_location(reads: Any, writer: Connection, staff: Metadata) -> None:
    here = await new_order(writer, location_id=f"l-{uuid4().hex}")
    there = await new_order(writer)
    async with (
        watching(reads, staff, EVERYBODY) as everything,
        watching(reads, staff, EVERYBODY, location=f"locations/{here.location_id}") as local,
        watching(reads, staff, f"customers/{there.customer_id}", location=f"locations/{here.location_id}") as nothing,
    ):
        for written in (there, here):
            await write_event(writer, written, 1)
        await everything.hear(lambda watcher: len(of(watcher, here, there)) == 2)
        await local.hear_events(1)
        await nothing.hear_heartbeats(2)

    assert local.names == event_names(here, 1)
    assert nothing.names == []


async def test_what_was_recorded_before_a_watch_is_not_told_and_heartbeats_move_on(
    reads: Any, writer: Connection, staff: Metadata, order: WrittenOrder
) -> None:
    async with watching(reads, staff, EVERYBODY) as before:
        await write_event(writer, order, 1)
        await before.hear(lambda watcher: of(watcher, order) != [])
    async with watching(reads, staff, f"customers/{order.customer_id}") as watcher:
        other = await new_order(writer)
        await write_event(writer, other, 1)
        await watcher.hear(lambda watcher: watcher.token != watcher.tokens[0])

    assert watcher.names == []


async def test_a_transaction_that_commits_late_is_told_after_those_that_overtook_it(
    reads: Any, writer: Connection, late_writer: Connection, staff: Metadata, order: WrittenOrder
) -> None:
    overtaking = await new_order(writer)
    async with watching(reads, staff, EVERYBODY) as watcher:
        async with late_writer.transaction():
            await write_event(late_writer, order, 1)
            await write_event(writer, overtaking, 1)
            await watcher.hear(lambda watcher: of(watcher, overtaking) != [])
            token = watcher.token_after[event_names(overtaking, 1)[0]]
        await watcher.hear(lambda watcher: of(watcher, order) != [])

    async with watching(reads, staff, EVERYBODY, token) as resumed:
        await resumed.hear(lambda watcher: of(watcher, order) != [])
    assert of(watcher, order, overtaking) == [*event_names(overtaking, 1), *event_names(order, 1)]
    assert of(resumed, order, overtaking) == event_names(order, 1)


async def test_places_are_given_by_one_at_a_time(
    reads: Any, writer: Connection, late_writer: Connection, reads_engine: AsyncEngine, staff: Metadata, order: WrittenOrder
) -> None:
    """While one gives places and has not committed, another would give later ones that are seen first: who reads them misses the others."""
    async with watching(reads, staff, EVERYBODY) as watcher:
        async with late_writer.transaction():
            await take_turn(late_writer)
            await write_event(writer, order, 1)
            await late_writer.execute(order_feed._MOVE.text.replace(":limit", "1000"))
            await write_event(writer, order, 2)
            moved = [await PostgresFeedWriter(reads_engine).move(1000) for _ in range(3)]
            await watcher.hear_heartbeats(2)
            heard_early = of(watcher, order)
        await watcher.hear(lambda watcher: len(of(watcher, order)) == 2)

    assert moved == [0, 0, 0]
    assert heard_early == []
    assert of(watcher, order) == event_names(order, 2)


async def test_places_that_were_taken_back_are_given_again(
    reads: Any, writer: Connection, late_writer: Connection, staff: Metadata, order: WrittenOrder
) -> None:
    """A gap would look like something that is no longer kept, to who began to watch before anything had happened."""
    await late_writer.execute("begin")
    await take_turn(late_writer)
    await write_event(writer, order, 1)
    await late_writer.execute(order_feed._MOVE.text.replace(":limit", "1000"))
    await late_writer.execute("rollback")
    async with watching(reads, staff, EVERYBODY) as watcher:
        await write_event(writer, order, 2)
        await watcher.hear(lambda watcher: event_names(order, 2)[1] in of(watcher, order))

    places = await writer.execute("select count(*), max(position) - min(position) + 1 from order_feed")
    placed, spanned = await places.fetchone() or (0, 0)
    assert placed == spanned >= 2


async def take_turn(connection: Connection) -> None:
    """Waits for the turn to give places; it ends with the transaction."""
    for _ in range(2000):
        row = await (await connection.execute(order_feed._TAKE_TURN.text)).fetchone()
        if row and row[0]:
            return
        await asyncio.sleep(0.005)
    raise AssertionError("nobody else may have the turn for long")


async def write_history(settings: OrdersSettings, orders: Sequence[WrittenOrder], numbers: int, seed: int) -> None:
    """Records events of the orders in turn, each in a transaction of its own that takes its time."""
    random = Random(seed)
    conninfo = service_conninfo(settings.database_uri, schema=SCHEMA, role=settings.database_role)
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        for number in range(1, numbers + 1):
            for order in orders:
                async with connection.transaction():
                    await write_event(connection, order, number)
                    await asyncio.sleep(random.choice([0, 0, 0.002]))


async def sequence(engine: AsyncEngine) -> None:
    while True:
        await PostgresFeedWriter(engine).move(7)
        await asyncio.sleep(0.001)


async def test_many_writers_sequencers_and_disconnections_lose_and_reorder_nothing(
    reads: Any, writer: Connection, reads_engine: AsyncEngine, reads_settings: OrdersSettings, staff: Metadata
) -> None:
    writers, orders_each, numbers = 4, 3, 8
    orders = [await new_order(writer) for _ in range(writers * orders_each)]
    everything = len(orders) * numbers
    sequencers = [asyncio.create_task(sequence(reads_engine)) for _ in range(2)]
    async with watching(reads, staff, EVERYBODY) as steady:
        histories = [asyncio.create_task(write_history(reads_settings, orders[place::writers], numbers, place)) for place in range(writers)]
        heard: list[str] = []
        token = steady.token
        while len(heard) < everything:
            wanted = min(17, everything - len(heard))
            async with watching(reads, staff, EVERYBODY, token) as watcher:
                await watcher.hear(partial(has_heard, orders, wanted))
            heard, token = [*heard, *of(watcher, *orders)], watcher.token
        await asyncio.gather(*histories)
        await steady.hear(lambda watcher: len(of(watcher, *orders)) == everything)
    for task in sequencers:
        task.cancel()

    for order in orders:
        assert [name for name in heard if name.startswith(order.name)] == event_names(order, numbers)
    assert heard == of(steady, *orders)


async def test_a_watch_that_missed_more_than_one_read_catches_up(
    reads: Any, writer: Connection, staff: Metadata, order: WrittenOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_feed, "PART", 3)
    parents = (EVERYBODY, f"customers/{order.customer_id}")
    tokens = []
    for parent in parents:
        async with watching(reads, staff, parent) as watcher:
            tokens.append(watcher.token)
    for number in range(1, 11):
        await write_event(writer, order, number)
    for parent, token in zip(parents, tokens, strict=True):
        async with watching(reads, staff, parent, token) as resumed:
            await resumed.hear(lambda watcher: len(of(watcher, order)) == 10)
            assert of(resumed, order) == event_names(order, 10)


async def test_a_token_is_for_the_stream_it_was_made_for(reads: Any, staff: Metadata, identities: Identities, order: WrittenOrder) -> None:
    async with watching(reads, staff, EVERYBODY) as watcher:
        token = watcher.token

    for request, caller in (
        (messages.WatchOrdersRequest(parent=EVERYBODY, resume_token=token, location="locations/main"), staff),
        (messages.WatchOrdersRequest(parent=f"customers/{order.customer_id}", resume_token=token), identities.customer(order.customer_id)),
        (messages.WatchOrdersRequest(parent=EVERYBODY, resume_token=f"{token[:-2]}xx"), staff),
        (messages.WatchOrdersRequest(parent=EVERYBODY, resume_token="nonsense"), staff),
    ):
        refused = await refusal_of(reads.WatchOrders(request, metadata=caller).read())
        assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN")


async def refused_resuming(reads: Any, caller: Metadata, token: str) -> Any:
    return await refusal_of(reads.WatchOrders(messages.WatchOrdersRequest(parent=EVERYBODY, resume_token=token), metadata=caller).read())


async def test_a_watch_can_not_be_resumed_where_something_was_removed_since(
    reads: Any, writer: Connection, reads_engine: AsyncEngine, reads_settings: OrdersSettings, staff: Metadata, order: WrittenOrder
) -> None:
    async with watching(reads, staff, EVERYBODY) as watcher:
        for number in (1, 2, 3):
            await write_event(writer, order, number)
        await watcher.hear(lambda watcher: len(of(watcher, order)) == 3)
    await make_old(reads_settings)
    feed = PostgresFeedWriter(reads_engine)

    assert await feed.prune(31, 1000) == 0
    pruned = [await feed.prune(29, 2) for _ in range(2)]
    while await feed.prune(29, 1000):
        pass

    assert pruned[0] == 2
    first, _, last = event_names(order, 3)
    for token in (watcher.tokens[0], watcher.token_after[first]):
        refused = await refused_resuming(reads, staff, token)
        assert (refused.code, refused.reason) == (grpc.StatusCode.OUT_OF_RANGE, "RESUME_TOKEN_TOO_OLD")
    async with watching(reads, staff, EVERYBODY, watcher.token_after[last]) as resumed:
        await write_event(writer, order, 4)
        await resumed.hear(lambda watcher: of(watcher, order) == event_names(order, 4, first=4))


async def make_old(settings: OrdersSettings) -> None:
    conninfo = service_conninfo(settings.database_uri, schema=SCHEMA, role=None)
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        await connection.execute("update order_feed set created_at = created_at - interval '30 days'")


async def test_a_place_that_was_never_given_is_none_to_go_on_from(reads: Any, staff: Metadata, identities: Identities) -> None:
    tokens = PageTokens.from_file(identities.page_token_key_file)
    token = tokens.seal(messages.WatchOrdersRequest(parent=EVERYBODY), [10**15])

    assert (await refused_resuming(reads, staff, token)).reason == "RESUME_TOKEN_TOO_OLD"


async def test_the_lag_is_the_age_of_what_has_no_place(
    writer: Connection, late_writer: Connection, reads: Any, reads_engine: AsyncEngine, staff: Metadata, order: WrittenOrder
) -> None:
    feed = PostgresFeedWriter(reads_engine)
    async with late_writer.transaction():
        await take_turn(late_writer)
        await write_event(writer, order, 1)
        await asyncio.sleep(0.05)
        assert await feed.lag_s() >= 0.05
    async with watching(reads, staff, EVERYBODY) as watcher:
        await write_event(writer, order, 2)
        await watcher.hear(partial(has_heard, [order], 1))
    # What other tests leave behind gets its place within a moment too.
    assert await eventually(partial(is_placed, feed))


async def is_placed(feed: PostgresFeedWriter) -> bool:
    return await feed.lag_s() == 0
