"""Balances as of any time: what was recorded by then, which no later write changes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

import psycopg
import pytest
from galen.balance.v1 import account_pb2
from galen.balance.v1 import balance_service_pb2 as messages
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from services.balance.adapters.postgres import past
from services.balance.adapters.postgres.past import AS_OF, PostgresPast
from services.balance.domain.model import Kind
from shared.grpc.timestamps import timestamp
from shared.postgres.pool import Pool
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities
from tests.balance.histories import Event, Folded, insert, new_account, open_account, operations_of, write_history, write_long_history
from tests.balance.plans import CUSTOM, GENERIC, collecting, nodes, plan
from tests.balance.world import Owner

OPENED = datetime(2024, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

KINDS = [Kind.CREDIT, Kind.WITHDRAWAL, Kind.RESERVATION, Kind.CAPTURE, Kind.RELEASE, Kind.LOT_EXPIRY]
# Microseconds between operations: often none, for operations of a batch share their time.
gaps = st.one_of(st.just(0), st.integers(0, 3), st.integers(0, 10**12))
histories = st.lists(st.tuples(gaps, st.sampled_from(KINDS), st.integers(1, 10**6), st.booleans()), max_size=40)


def events_of(history: Sequence[tuple[int, Kind, int, bool]]) -> list[Event]:
    at, events = OPENED, list[Event]()
    for gap, kind, amount, refused in history:
        at += gap * MICROSECOND
        events.append(Event(at, kind, amount, f"order-{len(events)}", refused))
    return events


@given(history=histories, data=st.data())
@settings(max_examples=60)
async def test_a_past_balance_is_the_fold_of_the_history_up_to_then(
    history_uri: str, history_pool: Pool, history: list[tuple[int, Kind, int, bool]], data: st.DataObject
) -> None:
    name, events = new_account(), events_of(history)
    await write_history(history_uri, name, OPENED, events)
    moments = sorted({OPENED, *(event.at + shift * MICROSECOND for event in events for shift in (-1, 0, 1))})

    for moment in [moments[-1], *data.draw(st.lists(st.sampled_from(moments), max_size=6))]:
        found = await PostgresPast(history_pool).as_of(name, moment)

        recorded = [event for event in events if event.at <= moment]
        folded: Folded = reduce(Folded.after, recorded, Folded())
        assert found is not None
        assert (found.version, found.posted, found.held) == (len(recorded), folded.posted, folded.held)
        assert found.updated_at == (recorded[-1].at if recorded else OPENED)


class Historian:
    def __init__(self, stub: Any) -> None:
        self._stub = stub

    async def as_of(self, owner: Owner, moment: Any) -> account_pb2.Account:
        request = messages.GetAccountRequest(name=owner.account, as_of_time=moment)
        account: account_pb2.Account = (await self._stub.GetAccount(request, metadata=owner.me, timeout=10)).account
        return account


@pytest.fixture
def historian(history: Any) -> Historian:
    return Historian(history)


async def test_each_operation_left_the_balance_that_it_told_of(owner: Owner, historian: Historian) -> None:
    await owner.credit(1000)
    hold = await owner.reserve(300)
    await owner.withdraw(100)
    await owner.send(owner.to_capture(hold, 200))
    await owner.withdraw(50)

    for operation in (await owner.stored()).operations:
        account = await historian.as_of(owner, operation.created_at)
        if account.version == operation.version:  # a capture and its release share a time: then the later one counts
            assert (account.posted, account.held) == (operation.posted_after, operation.held_after)
            assert account.update_time == timestamp(operation.created_at)
    now = await owner.read()
    latest = await historian.as_of(owner, datetime.now(UTC))
    assert (latest.posted, latest.held, latest.version, latest.create_time) == (now.posted, now.held, now.version, now.create_time)
    assert (latest.available, latest.lifetime_earned, latest.etag) == (0, 0, "")


async def test_before_its_first_operation_an_account_is_empty_and_before_it_was_opened_it_is_not_there(
    owner: Owner, historian: Historian
) -> None:
    await owner.credit(10)
    opened: datetime = (await owner.stored()).account.created_at

    empty = await historian.as_of(owner, opened)
    refusal = await refusal_of(historian.as_of(owner, opened - MICROSECOND))

    assert (empty.posted, empty.version) == (0, 0)
    assert (refusal.reason, refusal.metadata) == ("BEFORE_HISTORY", {"opened": opened.astimezone(UTC).isoformat()})


async def test_an_account_that_was_never_opened_has_no_past(owner: Owner, historian: Historian) -> None:
    assert (await refusal_of(historian.as_of(owner, datetime.now(UTC)))).reason == "ACCOUNT_NOT_FOUND"


async def test_the_past_of_another_is_denied(owner: Owner, historian: Historian, identities: Identities) -> None:
    await owner.credit(10)
    owner.me = identities.customer("somebody-else")

    assert (await refusal_of(historian.as_of(owner, datetime.now(UTC)))).reason == "ACCESS_DENIED"


@pytest.mark.parametrize("time", [Timestamp(seconds=2**62), Timestamp(nanos=-1)])
async def test_what_is_no_time_is_refused(owner: Owner, historian: Historian, time: Timestamp) -> None:
    await owner.credit(10)

    assert (await refusal_of(historian.as_of(owner, time))).reason == "INVALID_REQUEST"


async def commit_late(uri: str, pool: Pool) -> tuple[int, int]:
    """Asks for the balance of a moment between the time of an operation and its commit; returns what is answered, then and afterwards."""
    name, started = new_account(), datetime.now(UTC)
    async with await psycopg.AsyncConnection.connect(uri) as connection:
        await open_account(connection, name, started)
        await connection.commit()
        await connection.execute("select from balance.account where account_key = %s for no key update", [name.key])
        await insert(connection, operations_of(name, [Event(started + MICROSECOND)]))
        await open_account(connection, name, started, version=1)
        asking = asyncio.create_task(PostgresPast(pool).as_of(name, datetime.now(UTC)))
        await asyncio.sleep(0.2)
        await connection.commit()
    first, moment = await asking, datetime.now(UTC)
    second = await PostgresPast(pool).as_of(name, moment)
    assert first
    assert second
    return first.version, second.version


async def test_a_balance_of_just_now_waits_for_what_is_being_recorded_so_that_it_never_changes(
    history_uri: str, history_pool: Pool
) -> None:
    assert await commit_late(history_uri, history_pool) == (1, 1)


async def test_without_that_wait_a_past_balance_changes_afterwards(
    history_uri: str, history_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that the test above can fail."""
    monkeypatch.setattr(past, "AWAIT_WRITERS", past.AWAIT_WRITERS.replace("for share", ""))

    assert await commit_late(history_uri, history_pool) == (0, 1)


@pytest.mark.parametrize("mode", [GENERIC, CUSTOM])
async def test_a_past_balance_of_a_long_history_takes_as_many_look_ups_as_a_version_has_bits(history_uri: str, mode: str) -> None:
    name = new_account()
    await write_long_history(history_uri, name, 50_000)
    parameters = {"key": ("uuid", name.key), "moment": ("timestamptz", datetime.now(UTC) - timedelta(seconds=20_000))}

    done = await plan(history_uri, AS_OF, parameters, mode)

    assert collecting(done) == []
    assert max(node["Actual Loops"] for node in nodes(done) if node.get("Relation Name") == "operation") <= 16 == (50_000).bit_length()
