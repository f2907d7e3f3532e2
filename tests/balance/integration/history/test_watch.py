"""Operations as they come: each once, in the order of its account, whoever disconnects or goes away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import psycopg
import pytest
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1 import operation_pb2
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from services.balance.adapters.postgres import stream
from services.balance.adapters.postgres.ledger import PostgresLedger
from services.balance.adapters.postgres.stream import PostgresStream
from services.balance.application.history_ports import Place
from services.balance.container import BalanceContainer, service_parts
from services.balance.domain.names import AccountName
from services.balance.settings import BATCH_CONNECTIONS, BalanceSettings
from shared.postgres.pool import Pool
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities, Metadata
from shared.testing.servers import served
from tests.balance.histories import credited, new_account, write_long_history
from tests.balance.plans import CUSTOM, GENERIC, collecting, nodes, plan
from tests.balance.watching import EVERY_ACCOUNT, assert_each_once_in_order, of, watching
from tests.balance.world import Owner, outcome

NewOwner = Callable[[], Owner]


@pytest.mark.parametrize("everybody", [False, True])
async def test_a_watch_tells_what_is_recorded_from_now_on_refusals_included(
    history: Any, owner: Owner, staff: Metadata, everybody: bool
) -> None:
    await owner.credit(10)
    async with watching(history, staff, EVERY_ACCOUNT if everybody else owner.account) as watcher:
        hold = await owner.reserve(5)
        refused = await outcome(owner.send(owner.to_withdraw(100)))
        await owner.send(owner.to_capture(hold, 2))

        await watcher.hear(lambda watcher: len(of(watcher, [owner])) == 4)

    assert refused == "INSUFFICIENT_POINTS"
    told = [operation for operation in watcher.operations if operation.name.startswith(owner.account)]
    assert [operation.version for operation in told] == [2, 3, 4, 5]
    assert told[1].state == operation_pb2.OPERATION_STATE_REFUSED
    stored = (await owner.stored()).operations[1:]
    assert [(line.amount, line.balance_after) for line in told] == [(line.amount, line.posted_after) for line in stored]


async def test_an_account_that_is_not_open_yet_can_be_watched(history: Any, owner: Owner) -> None:
    async with watching(history, owner.me, owner.account) as watcher:
        await owner.credit(10)
        await watcher.hear_operations(1)

    assert watcher.names == [f"{owner.account}/operations/1"]


@pytest.mark.parametrize("everybody", [False, True])
async def test_a_watch_goes_on_after_any_of_its_messages(history: Any, beside: Any, owner: Owner, staff: Metadata, everybody: bool) -> None:
    parent = EVERY_ACCOUNT if everybody else owner.account
    async with watching(history, staff, parent) as watcher:
        began = watcher.token
        for _ in range(5):
            await owner.credit(1)
        await watcher.hear(lambda watcher: len(of(watcher, [owner])) == 5)
    later = await owner.credit(1)

    names = [f"{owner.account}/operations/{version}" for version in range(1, 7)]
    for told, token in enumerate([began, *(watcher.token_after[name] for name in names[:5])]):
        async with watching(beside, staff, parent, token) as again:
            await again.hear(lambda again: later.name in again.names)
        assert of(again, [owner]) == names[told:]


async def test_what_was_missed_is_caught_up_with_in_parts(history: Any, beside: Any, staff: Metadata, history_uri: str) -> None:
    name, length = new_account(), 3 * stream.STREAM_BATCH + 7
    async with watching(history, staff, EVERY_ACCOUNT) as of_all, watching(history, staff, str(name)) as of_one:
        pass
    await write_long_history(history_uri, name, length)

    for parent, token in ((EVERY_ACCOUNT, of_all.token), (str(name), of_one.token)):
        async with watching(beside, staff, parent, token) as again:
            await again.hear(lambda again: again.names[-1:] == [f"{name}/operations/{length}"])
        assert_each_once_in_order(again.operations, {str(name): length})


async def test_while_many_write_at_once_each_operation_is_told_once_in_the_order_of_its_account(
    history: Any, beside: Any, history_uri: str, history_pool: Pool, new_owner: NewOwner, staff: Metadata
) -> None:
    owners, ledger = [new_owner() for _ in range(8)], PostgresLedger(history_pool)

    async def write(turn: int) -> None:
        chosen = [owners[(turn * step) % len(owners)].name for step in (1, 3, 5)]
        await ledger.post([credited(chosen)])
        await asyncio.gather(*(outcome(owner.send(owner.to_withdraw(2))) for owner in owners[:3]))

    async with (
        watching(history, staff, EVERY_ACCOUNT) as of_all,
        watching(beside, staff, EVERY_ACCOUNT) as elsewhere,
        watching(beside, owners[0].me, owners[0].account) as of_one,
    ):
        await ledger.post([credited([owner.name for owner in owners])])
        await asyncio.gather(*(write(turn) for turn in range(1, 25)))
        versions = {owner.account: (await owner.stored()).account.version for owner in owners}

        for watcher in (of_all, elsewhere):
            await watcher.hear(lambda watcher: len(of(watcher, owners)) >= sum(versions.values()))
            assert_each_once_in_order(watcher.operations, versions)
        await of_one.hear_operations(versions[owners[0].account])
        assert_each_once_in_order(of_one.operations, {owners[0].account: versions[owners[0].account]})
    assert of_all.operations == elsewhere.operations or of(of_all, owners) == of(elsewhere, owners)


# --- programmes, heartbeats, the end


async def test_a_watch_of_everybody_is_of_one_programme(
    history: Any, staff: Metadata, history_uri: str, history_pool: Pool, owner: Owner
) -> None:
    other = new_account("crowd")
    async with watching(history, staff, EVERY_ACCOUNT) as main, watching(history, staff, "programs/crowd/accounts/-") as crowd:
        await PostgresLedger(history_pool).post([credited([other])])
        await owner.credit(1)
        await main.hear(lambda watcher: len(of(watcher, [owner])) == 1)
        await crowd.hear_operations(1)
        await crowd.hear_heartbeats(1)

    assert crowd.names == [f"{other}/operations/1"]
    assert f"{other}/operations/1" not in main.names


async def test_heartbeats_come_while_nothing_happens_and_move_the_place_to_go_on_from(history: Any, staff: Metadata, owner: Owner) -> None:
    async with watching(history, staff, "programs/empty/accounts/-") as watcher:
        began = watcher.token
        await owner.credit(1)
        await watcher.hear_heartbeats(3)

    assert watcher.operations == []
    assert watcher.token != began


async def test_a_server_that_goes_away_ends_the_watch_as_unavailable_and_it_goes_on_elsewhere(
    history: Any, history_settings: BalanceSettings, owner: Owner
) -> None:
    async with served(service_parts(BalanceContainer(settings=history_settings))) as server:
        stub = BalanceServiceStub(server.channel)
        async with watching(stub, owner.me, owner.account) as watcher:
            await owner.credit(1)
            await watcher.hear_operations(1)
            ending = asyncio.create_task(refusal_of(watcher.hear_operations(99)))
            server.service.interceptor.end_streams()
            refusal = await ending
    await owner.credit(1)

    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")
    async with watching(history, owner.me, owner.account, watcher.token) as again:
        await again.hear_operations(1)
    assert again.names == [f"{owner.account}/operations/2"]


async def test_slow_watchers_hold_no_connection_and_keep_nobody_from_writing(
    history_settings: BalanceSettings, owner: Owner, identities: Identities, history_uri: str
) -> None:
    """Ten watchers that stop reading, over three connections: had each kept one while it waits for its caller, nobody else had any."""
    crowd, length = new_account(), 1500
    few = history_settings.model_copy(update={"database_connections_max": BATCH_CONNECTIONS + 3})
    async with served(service_parts(BalanceContainer(settings=few))) as server:
        stub: Any = BalanceServiceStub(server.channel)
        watched: list[Any] = []
        try:
            for _ in range(10):
                context = watching(stub, identities.customer(crowd.account_id), str(crowd))
                watched.append((context, await context.__aenter__()))
            await write_long_history(history_uri, crowd, length, "r" * 200)
            await asyncio.sleep(0.5)
            owner = Owner([stub], identities, history_uri)

            await asyncio.wait_for(asyncio.gather(*(owner.credit(1) for _ in range(50))), 10)
            for _, watcher in watched:
                await watcher.hear_operations(length)
                assert_each_once_in_order(watcher.operations, {str(crowd): length})
        finally:
            for context, _ in watched:
                await context.__aexit__(None, None, None)


# --- who may


async def test_customers_watch_their_own_account_and_nothing_else(
    history: Any, owner: Owner, new_owner: NewOwner, identities: Identities
) -> None:
    async def refusal(caller: Metadata, parent: str) -> str:
        return (await refusal_of(watching(history, caller, parent).__aenter__())).reason

    assert await refusal(owner.me, EVERY_ACCOUNT) == "ACCESS_DENIED"
    assert await refusal(owner.me, new_owner().account) == "ACCESS_DENIED"
    assert await refusal(identities.service("accrual"), EVERY_ACCOUNT) == "ACCESS_DENIED"
    assert await refusal((), owner.account) == "CREDENTIALS_MISSING"
    for caller in (identities.service("orders"), identities.customer("a", roles=("admin",)), identities.customer("s", roles=("staff",))):
        async with watching(history, caller, EVERY_ACCOUNT):
            pass
    async with watching(history, owner.me, owner.account):
        pass


async def test_a_resume_token_belongs_to_what_was_watched(history: Any, owner: Owner, new_owner: NewOwner, staff: Metadata) -> None:
    other = new_owner()
    await owner.credit(1)
    await owner.credit(1)
    async with watching(history, staff, owner.account) as watcher:
        token = watcher.token
    # What may be paged is not what may be watched, though both are counted by versions.
    page = await history.ListOperations(
        messages.ListOperationsRequest(parent=owner.account, page_size=1), metadata=staff, timeout=5
    )  # fmt: skip

    for parent, forged in (
        (other.account, token),
        (EVERY_ACCOUNT, token),
        (owner.account, token[:-2] + ("AA" if token[-2:] != "AA" else "BB")),
        (owner.account, page.next_page_token),
        (owner.account, "not a token"),
        (owner.account, "ä"),
    ):
        assert (await refusal_of(watching(history, staff, parent, forged).__aenter__())).reason == "INVALID_PAGE_TOKEN"
    assert (await refusal_of(watching(history, staff, owner.account, "x" * 1025).__aenter__())).reason == "INVALID_REQUEST"


# --- the cost


async def test_watching_a_ledger_at_rest_uses_up_no_ids_of_transactions(history_pool: Pool, history_uri: str) -> None:
    reader, everybody = PostgresStream(history_pool), AccountName("main", "-")
    end = (await reader.read([Place(everybody, None)]))[Place(everybody, None)].after
    place = Place(everybody, await until_known(reader, Place(everybody, end, is_beginning=True)))

    async def next_id() -> int:
        async with await psycopg.AsyncConnection.connect(history_uri) as connection:
            row = await (await connection.execute("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")).fetchone()
            assert row is not None
            return int(row[0])

    before = await next_id()
    for _ in range(20):
        await reader.read([place])
    assert await next_id() - before < 20


async def until_known(reader: PostgresStream, place: Place) -> int:
    while True:
        heard = (await reader.read([place])).get(place)
        if heard is not None:
            return heard.after
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("mode", [GENERIC, CUSTOM])
async def test_the_stream_is_read_along_its_indexes(history_uri: str, mode: str) -> None:
    name = new_account()
    await write_long_history(history_uri, name, 20_000)

    of_all = await plan(
        history_uri, stream.OF_ALL, {"after": ("bigint", 100), "end": ("bigint", 10**15), "limit": ("bigint", 500)}, mode
    )  # fmt: skip
    last = await plan(history_uri, stream.LAST_RECORDED, {"complete": ("bigint", 10**15)}, mode)
    asked = {"keys": ("uuid[]", [name.key]), "versions": ("bigint[]", [10_000]), "limit": ("bigint", 100)}
    of_accounts = await plan(history_uri, stream.OF_ACCOUNTS, asked, mode)

    assert collecting(of_all) == []
    assert collecting(last) == []
    assert set(collecting(of_accounts)) <= {"Sort"}
    assert max(node["Actual Rows"] for done in (of_all, last, of_accounts) for node in nodes(done)) <= 500
