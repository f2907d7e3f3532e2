"""Behind a pooler of connections, such as pgbouncer, each transaction may meet another session: the ledger leaves nothing behind in one.

Prepared statements are off: a pooler that does not know them needs that, and others do not mind.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

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
    union all select 'prepared statement ' || statement from pg_prepared_statements
    union all select 'advisory lock' from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()
    union all select 'listens to ' || channel from pg_listening_channels() as channel
    union all select 'temporary ' || relname from pg_class where relnamespace = pg_my_temp_schema()
"""


class ForgetfulPool(AsyncConnectionPool[psycopg.AsyncConnection[TupleRow]]):
    """Makes a new session of a connection that comes back; `left_behind` is what its transaction had left in the old one."""

    def __init__(self, conninfo: str) -> None:
        self.left_behind: Counter[str] = Counter()
        self.returns = 0
        kwargs = {"prepare_threshold": None}
        super().__init__(conninfo, min_size=2, max_size=8, timeout=5, open=False, kwargs=kwargs, reset=self._forget)

    async def _forget(self, connection: psycopg.AsyncConnection[TupleRow]) -> None:
        await connection.set_autocommit(True)
        self.left_behind.update(what for (what,) in await (await connection.execute(LEFT_BEHIND)).fetchall())
        await connection.execute("discard all")
        await connection.set_autocommit(False)
        self.returns += 1


@pytest_asyncio.fixture
async def pooled(postgres_server_uri: str, identities: Identities, chain_key_file: Path) -> AsyncIterator[tuple[ForgetfulPool, Ledger]]:
    """A ledger of its own behind a pooler."""
    with fresh_database(postgres_server_uri) as uri:
        settings = settings_of(uri, identities, chain_key_file).model_copy(update={"chain_every_s": 0.1, "sweep_every_s": 0.1})
        container = BalanceContainer(settings=settings)
        pool = ForgetfulPool(container.conninfo())
        container.pool.override(providers.Object(pool))
        async with served(service_parts(container)) as server:
            yield pool, Ledger(container, BalanceServiceStub(server.channel), identities, uri)


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


async def test_transactions_leave_nothing_in_their_sessions_and_find_nothing_there(pooled: tuple[ForgetfulPool, Ledger]) -> None:
    pool, ledger = pooled
    callers = [PatientCaller(ledger.new_owner(), ledger.stub, Random(seed)) for seed in range(6)]
    stop = asyncio.Event()
    async with watching(ledger.stub, ledger.staff, EVERY_ACCOUNT) as watcher, asyncio.TaskGroup() as group:
        for caller in callers:
            group.create_task(caller.live(stop))
        await watcher.hear_operations(200)
        for caller in callers:
            await read_everything(ledger, caller.owner)
        stop.set()

    assert pool.left_behind == {}
    assert pool.returns > 50
    await ledger.link_all()
    assert await ledger.faults() == []
    assert [(await caller.owner.read()).posted for caller in callers] == [caller.purse.posted for caller in callers]
