"""What runs out is written down without anybody asking: once, by whichever replica comes first, whatever is locked."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
import pytest_asyncio
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from services.balance.container import BalanceContainer, service_parts
from services.balance.domain.model import HoldState, Kind
from services.balance.entrypoints.jobs.sweeper import BATCH
from services.balance.settings import BalanceSettings
from shared.testing.databases import fresh_database
from shared.testing.identities import Identities
from shared.testing.servers import served
from tests.balance.integration.proof.conftest import settings_of
from tests.balance.world import Owner, new_id, soon, until

PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def swept_settings(postgres_server_uri: str, identities: Identities) -> Iterator[BalanceSettings]:
    with fresh_database(postgres_server_uri) as uri:
        yield settings_of(uri, identities, None).model_copy(update={"sweep_every_s": 0.05})


@pytest_asyncio.fixture
async def swept(swept_settings: BalanceSettings) -> AsyncIterator[Sequence[Any]]:
    """Two servers that sweep one ledger."""
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(served(service_parts(BalanceContainer(settings=swept_settings)))) for _ in range(2)]
        yield [BalanceServiceStub(server.channel) for server in servers]


async def expiries(owner: Owner) -> Counter[Kind]:
    """Returns which expiries are written down, and how often; the account must obey every rule."""
    own = {Kind.HOLD_EXPIRY, Kind.LOT_EXPIRY}
    return Counter(operation.kind for operation in (await owner.stored()).operations if operation.kind in own)


async def written(owner: Owner, wanted: dict[Kind, int]) -> None:
    """Returns when these expiries are written down. Nobody asks the ledger meanwhile."""
    async with asyncio.timeout(PATIENCE_S):
        while (found := await expiries(owner)) != wanted:
            assert found <= Counter(wanted), found
            await asyncio.sleep(0.05)


async def count_expired(connection: psycopg.AsyncConnection, keys: Sequence[UUID]) -> int:
    statement = "select count(*) from balance.operation where kind = 8 and account_key = any(%s)"
    ((count,),) = await (await connection.execute(statement, [keys])).fetchall()
    return int(count)


async def test_holds_and_lots_that_run_out_are_written_down_once_though_nobody_asks(
    swept: Sequence[Any], swept_settings: BalanceSettings, identities: Identities
) -> None:
    owner = Owner(swept, identities, swept_settings.database_uri)
    end = soon(1.2)
    await owner.credit(10, expire_time=end)
    await owner.credit(20)
    await owner.reserve(15, ttl=timedelta(seconds=1))
    assert await expiries(owner) == {}

    await written(owner, {Kind.HOLD_EXPIRY: 1, Kind.LOT_EXPIRY: 1})

    await asyncio.sleep(0.3)
    assert await expiries(owner) == {Kind.HOLD_EXPIRY: 1, Kind.LOT_EXPIRY: 1}
    stored = await owner.stored()
    assert [hold.state for hold in stored.holds] == [HoldState.EXPIRED]
    assert (stored.account.posted, stored.account.held) == (20, 0)
    assert stored.operations[-1].created_at >= end


async def test_an_account_that_is_locked_keeps_no_other_from_being_settled(
    swept: Sequence[Any], swept_settings: BalanceSettings, identities: Identities
) -> None:
    owners = [Owner(swept, identities, swept_settings.database_uri) for _ in range(BATCH + 20)]
    end = soon(2)
    batch = messages.BatchApplyRequest(
        parent="programs/main",
        mode=messages.BATCH_MODE_INDEPENDENT,
        request_id=new_id(),
        commands=[messages.BatchCommand(credit=owner.to_credit(5, expire_time=end)) for owner in owners],
    )
    await swept[0].BatchApply(batch, metadata=identities.service("accrual"), timeout=20)
    locked, *others = owners
    async with await psycopg.AsyncConnection.connect(swept_settings.database_uri) as connection:
        await connection.execute("select from balance.account where account_key = %s for update", [locked.name.key])
        await until(end)
        keys = [owner.name.key for owner in others]
        deadline = time.monotonic() + PATIENCE_S
        while await count_expired(connection, keys) < len(others):
            assert time.monotonic() < deadline, "not all others are settled"
            await asyncio.sleep(0.05)
        assert await expiries(locked) == {}

    await written(locked, {Kind.LOT_EXPIRY: 1})
