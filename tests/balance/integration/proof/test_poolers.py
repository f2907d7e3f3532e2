"""Behind a pooler of connections, such as pgbouncer, each transaction may meet another session: the ledger leaves nothing behind in one.

But for what batches prepare, by the protocol's own messages and under names that nobody else gives: poolers bring that along from session
to session (pgbouncer since 1.21, with max_prepared_statements). Everything else works without.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random
from typing import TypeAlias

import psycopg
import pytest_asyncio
from dependency_injector import providers
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub
from google.protobuf.timestamp_pb2 import Timestamp
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from services.balance.container import BalanceContainer, service_parts
from shared.testing.databases import fresh_database
from shared.testing.identities import Identities
from shared.testing.servers import served
from tests.balance.integration.proof.conftest import settings_of
from tests.balance.integration.proof.tampering import Ledger
from tests.balance.patient_callers import PatientCaller
from tests.balance.watching import EVERY_ACCOUNT, watching
from tests.balance.world import Owner, soon

LEFT_BEHIND = """
    select 'setting ' || name from pg_settings where source = 'session'
        and name not in ('transaction_isolation', 'transaction_read_only', 'transaction_deferrable')
    union all select 'prepared statement ' || statement from pg_prepared_statements where not %s or from_sql
    union all select 'advisory lock' from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()
    union all select 'listens to ' || channel from pg_listening_channels() as channel
    union all select 'temporary ' || relname from pg_class where relnamespace = pg_my_temp_schema()
"""


FORGET = "discard all"
FORGET_ALL_BUT_PREPARED = ("close all", "reset all", "unlisten *", "select pg_advisory_unlock_all()", "discard sequences", "discard temp")


class ForgetfulPool(AsyncConnectionPool[psycopg.AsyncConnection[TupleRow]]):
    """Makes a new session of a connection that comes back, but for prepared statements if the pooler `brings_prepared` along.

    `left_behind` is what transactions had left in their old sessions.
    """

    def __init__(self, conninfo: str, *, brings_prepared: bool) -> None:
        self._brings_prepared = brings_prepared
        self.left_behind: Counter[str] = Counter()
        self.returns = 0
        kwargs = {"prepare_threshold": None}
        super().__init__(conninfo, min_size=2, max_size=8, timeout=5, open=False, kwargs=kwargs, reset=self._forget)

    async def _forget(self, connection: psycopg.AsyncConnection[TupleRow]) -> None:
        await connection.set_autocommit(True)
        left = await connection.execute(LEFT_BEHIND, [self._brings_prepared])
        self.left_behind.update(what for (what,) in await left.fetchall())
        for statement in FORGET_ALL_BUT_PREPARED if self._brings_prepared else [FORGET]:
            await connection.execute(statement)
        await connection.set_autocommit(False)
        self.returns += 1


Pooled: TypeAlias = tuple[Sequence[ForgetfulPool], Ledger]


@pytest_asyncio.fixture
async def pooled(postgres_server_uri: str, identities: Identities, chain_key_file: Path) -> AsyncIterator[Pooled]:
    """A ledger of its own behind a pooler."""
    with fresh_database(postgres_server_uri) as uri:
        settings = settings_of(uri, identities, chain_key_file).model_copy(update={"chain_every_s": 0.1, "sweep_every_s": 0.1})
        container = BalanceContainer(settings=settings)
        pools = [ForgetfulPool(container.conninfo(), brings_prepared=prepared) for prepared in (False, True)]
        container.pool.override(providers.Object(pools[0]))
        container.batch_pool.override(providers.Object(pools[1]))
        async with served(service_parts(container)) as server:
            yield pools, Ledger(container, BalanceServiceStub(server.channel), identities, uri)


async def read_everything(ledger: Ledger, owner: Owner) -> None:
    stub, me = ledger.calls, owner.me
    now, later = Timestamp(), Timestamp()
    now.FromDatetime(soon(0))
    later.FromDatetime(soon(100))
    await stub.ListOperations(messages.ListOperationsRequest(parent=owner.account), metadata=me)
    await stub.GetAccount(messages.GetAccountRequest(name=owner.account, as_of_time=now), metadata=me)
    await stub.ListExpiringLots(messages.ListExpiringLotsRequest(parent=owner.account, before_time=later), metadata=me)
    await stub.BatchGetAccounts(messages.BatchGetAccountsRequest(parent="programs/main", names=[owner.account]), metadata=ledger.staff)
    exported = stub.ExportOperations(messages.ExportOperationsRequest(parent=owner.account), metadata=me)
    assert [response async for response in exported] != []
    assert await ledger.broken_rules() == {}
    await ledger.verify(0)


async def test_transactions_leave_nothing_in_their_sessions_and_find_nothing_there(pooled: Pooled) -> None:
    pools, ledger = pooled
    callers = [PatientCaller(ledger.new_owner(), ledger.stub, Random(seed)) for seed in range(6)]
    stop = asyncio.Event()
    async with watching(ledger.stub, ledger.staff, EVERY_ACCOUNT) as watcher, asyncio.TaskGroup() as group:
        for caller in callers:
            group.create_task(caller.live(stop))
        await watcher.hear_operations(200)
        for caller in callers:
            await read_everything(ledger, caller.owner)
        stop.set()

    assert [pool.left_behind for pool in pools] == [{}, {}]
    assert min(pool.returns for pool in pools) > 30
    await ledger.link_all()
    assert await ledger.faults() == []
    assert [(await caller.owner.read()).posted for caller in callers] == [caller.purse.posted for caller in callers]
