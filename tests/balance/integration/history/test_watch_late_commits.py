"""Watchers miss nothing that commits late, and are told of each account in order, whoever committed first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from services.balance.adapters.postgres import ledger as posting
from services.balance.adapters.postgres import stream
from services.balance.adapters.postgres.ledger import PostgresLedger
from services.balance.adapters.postgres.stream import Horizon
from services.balance.container import BalanceContainer, service_parts
from services.balance.domain.names import AccountName
from services.balance.settings import BalanceSettings
from shared.postgres.pool import Pool
from shared.testing.identities import Metadata
from shared.testing.servers import served
from tests.balance.histories import Event, credited, insert, new_account, open_account, operations_of
from tests.balance.watching import EVERY_ACCOUNT, of, watching
from tests.balance.world import Owner

NewOwner = Callable[[], Owner]


async def write_uncommitted(connection: psycopg.AsyncConnection, name: AccountName) -> None:
    """Does what the ledger does for a first credit, but leaves the transaction open."""
    now = datetime.now(UTC)
    await open_account(connection, name, now, version=1)
    await insert(connection, operations_of(name, [Event(now)]))


async def tell_late(history: Any, staff: Metadata, uri: str, owner: Owner) -> tuple[list[str], list[str]]:
    """Records an operation while an older one is not committed yet; returns the accounts that were told of before and after that."""
    late = new_account()
    async with watching(history, staff, EVERY_ACCOUNT) as watcher, await psycopg.AsyncConnection.connect(uri) as connection:
        await write_uncommitted(connection, late)
        await owner.credit(1)
        await watcher.hear_heartbeats(2)
        before = watcher.names.copy()
        await connection.commit()
        await watcher.hear(lambda watcher: any(name.startswith(owner.account) for name in watcher.names))
        await watcher.hear_heartbeats(2)
    accounts = {str(late): "late", owner.account: "quick"}
    return [
        [accounts[account] for account in (name.partition("/operations/")[0] for name in names) if account in accounts]
        for names in (before, watcher.names)
    ]  # type: ignore[return-value]


async def test_an_operation_that_commits_late_is_not_skipped(history: Any, staff: Metadata, history_uri: str, owner: Owner) -> None:
    before, after = await tell_late(history, staff, history_uri, owner)

    assert (before, after) == ([], ["late", "quick"])


class Nearsighted(Horizon):
    """Takes every position that was given for complete."""

    async def find(self, connection: Any) -> int | None:
        row = await (await connection.execute(stream.LAST_GIVEN)).fetchone()
        return int(row[0])


async def test_without_the_horizon_it_is_skipped(
    history_settings: BalanceSettings, staff: Metadata, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proves that the test above can fail."""
    monkeypatch.setattr(stream, "Horizon", Nearsighted)
    async with served(service_parts(BalanceContainer(settings=history_settings))) as server:
        before, after = await tell_late(BalanceServiceStub(server.channel), staff, history_settings.database_uri, owner)

    assert (before, after) == (["quick"], ["quick"])


async def test_one_account_is_told_of_at_once_whatever_else_is_not_committed(history: Any, history_uri: str, owner: Owner) -> None:
    async with watching(history, owner.me, owner.account) as watcher, await psycopg.AsyncConnection.connect(history_uri) as connection:
        await write_uncommitted(connection, new_account())
        await owner.credit(1)

        await watcher.hear_operations(1)


async def test_a_watch_begins_after_what_is_being_recorded_so_that_it_misses_nothing_and_tells_nothing_old(
    history: Any, staff: Metadata, history_uri: str, owner: Owner
) -> None:
    late = new_account()
    async with watching(history, staff, EVERY_ACCOUNT), await psycopg.AsyncConnection.connect(history_uri) as connection:
        await write_uncommitted(connection, late)
        await owner.credit(1)  # recorded before the watch that follows begins, though the poller, which runs, can't tell it yet
        async with watching(history, staff, EVERY_ACCOUNT, begun=False) as watcher:
            await watcher.hear_heartbeats(2)
            assert watcher.tokens == ["", ""]
            await connection.commit()
            await watcher.hear(lambda watcher: bool(watcher.token))
            await owner.credit(1)
            await watcher.hear(lambda watcher: len(of(watcher, [owner])) == 1)

    assert [name for name in watcher.names if name.startswith((owner.account, str(late)))] == [f"{owner.account}/operations/2"]


async def id_of(uri: str, name: AccountName, version: int) -> int:
    """Returns the id of the transaction that wrote an operation."""
    async with await psycopg.AsyncConnection.connect(uri) as connection:
        query = "select xmin::text::bigint from balance.operation where account_key = %s and version = %s"
        row = await (await connection.execute(query, [name.key, version])).fetchone()
        assert row is not None
        return int(row[0])


async def test_an_account_is_told_of_in_order_though_a_later_version_is_of_an_older_transaction(
    history: Any, staff: Metadata, history_uri: str, history_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch takes its id with the lock of its first account and waits for the second; meanwhile another, younger, writes the third.
    Ids of transactions, though bounded by the oldest one running, would tell the batch's operation of the third account first."""
    first, second, third = sorted((new_account() for _ in range(3)), key=lambda name: name.key)
    monkeypatch.setattr(posting, "POSTING_SETTINGS", posting.POSTING_SETTINGS.replace("200ms", "10s"))
    ledger = PostgresLedger(history_pool)
    await ledger.post([credited([first, second, third])])
    async with watching(history, staff, EVERY_ACCOUNT) as watcher:
        async with await psycopg.AsyncConnection.connect(history_uri) as blocker:
            await blocker.execute("select from balance.account where account_key = %s for no key update", [second.key])
            batch = asyncio.create_task(ledger.post([credited([first, second, third])]))
            await asyncio.sleep(0.1)
            async with await psycopg.AsyncConnection.connect(history_uri) as running:
                await running.execute("select pg_current_xact_id()")
                await ledger.post([credited([third])])
                await blocker.rollback()
                await batch
                await watcher.hear_heartbeats(2)
        await watcher.hear(lambda watcher: sum(name.startswith(str(third)) for name in watcher.names) == 2)

    assert await id_of(history_uri, third, 3) < await id_of(history_uri, third, 2)
    assert [name for name in watcher.names if name.startswith(str(third))] == [f"{third}/operations/{version}" for version in (2, 3)]
