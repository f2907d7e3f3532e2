"""Everything that was recorded, streamed account by account."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import psycopg
import pytest
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1 import operation_pb2

from services.balance.adapters.postgres.archive import HISTORIES, OPERATIONS
from services.balance.adapters.postgres.rows import OPERATION_COLUMNS, operation_of
from services.balance.domain.names import AccountName
from services.balance.entrypoints.grpc.converters import operation_message
from services.balance.entrypoints.grpc.history import EXPORT_BYTES
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities, Metadata
from tests.balance.histories import Event, new_account, write_history, write_long_history
from tests.balance.plans import CUSTOM, GENERIC, collecting, nodes, plan
from tests.balance.world import Owner, outcome

EVERY_ACCOUNT = "programs/main/accounts/-"


@pytest.fixture
def admin(identities: Identities) -> Metadata:
    return identities.customer("admin-1", roles=("admin",))


async def exported(stub: Any, caller: Metadata, parent: str) -> list[messages.ExportOperationsResponse]:
    request = messages.ExportOperationsRequest(parent=parent)
    return [message async for message in stub.ExportOperations(request, metadata=caller, timeout=60)]


async def table(uri: str, program: str) -> list[operation_pb2.Operation]:
    """Returns the operations of a programme as they are in the table."""
    columns = ", ".join(f"operation.{name.strip()}" for name in OPERATION_COLUMNS.split(","))
    async with await psycopg.AsyncConnection.connect(uri) as connection:
        cursor = await connection.execute(
            f"""select account_id, {columns} from balance.operation join balance.account using (account_key)
                where program = %s order by account_key, operation.version""",
            [program],
        )
        return [operation_message(operation_of(AccountName(program, row[0]), row[1:])) for row in await cursor.fetchall()]


def flat(responses: list[messages.ExportOperationsResponse]) -> list[operation_pb2.Operation]:
    return [operation for response in responses for operation in response.operations]


async def test_an_export_of_everything_is_the_table(
    history: Any, history_uri: str, new_owner: Callable[[], Owner], admin: Metadata
) -> None:
    for _ in range(3):
        owner = new_owner()
        await owner.credit(10)
        await outcome(owner.send(owner.to_withdraw(100)))
    for length in (499, 500, 501, 1300):
        await write_history(history_uri, new_account(), datetime.now(UTC), [Event(datetime.now(UTC))] * length)
    await write_history(history_uri, new_account("elsewhere"), datetime.now(UTC), [Event(datetime.now(UTC))])

    read = flat(await exported(history, admin, EVERY_ACCOUNT))

    assert read == await table(history_uri, "main")
    assert any(operation.state == operation_pb2.OPERATION_STATE_REFUSED for operation in read)
    accounts = [account for account, _ in groupby(operation.name.partition("/operations/")[0] for operation in read)]
    assert len(accounts) == len(set(accounts))
    assert flat(await exported(history, admin, "programs/elsewhere/accounts/-")) == await table(history_uri, "elsewhere")


async def test_an_account_is_exported_oldest_first_and_one_without_operations_is_empty(
    history: Any, owner: Owner, new_owner: Callable[[], Owner]
) -> None:
    for amount in (1, 2, 3):
        await owner.credit(amount)

    assert [operation.amount for operation in flat(await exported(history, owner.me, owner.account))] == [1, 2, 3]
    nobody = new_owner()
    assert await exported(history, nobody.me, nobody.account) == []


async def test_what_was_recorded_before_the_export_is_in_it_once_though_much_is_written_meanwhile(
    history: Any, owner: Owner, new_owner: Callable[[], Owner], admin: Metadata
) -> None:
    others = [new_owner() for _ in range(10)]
    for other in (owner, *others):
        await other.credit(100)
    writing = asyncio.gather(*(other.withdraw(1) for other in others for _ in range(10)))

    names = [operation.name for operation in flat(await exported(history, admin, EVERY_ACCOUNT))]
    await writing

    assert len(names) == len(set(names))
    assert {f"{other.account}/operations/1" for other in (owner, *others)} <= set(names)


async def test_messages_stay_small_however_large_operations_are(history: Any, history_uri: str, admin: Metadata) -> None:
    name = new_account("large")
    await write_long_history(history_uri, name, 3000, "r" * 255)
    async with await psycopg.AsyncConnection.connect(history_uri) as connection:
        await connection.execute(
            """update balance.operation set lot_ids = filled, lot_amounts = filled
               from (select array_agg(1000000 + place) as filled from generate_series(1, 2000) as place) as large
               where account_key = %s and version <= 100""",
            [name.key],
        )

    responses = await exported(history, admin, str(name))

    largest = max(operation.ByteSize() for operation in flat(responses))
    assert [operation.version for operation in flat(responses)] == list(range(1, 3001))
    assert max(response.ByteSize() for response in responses) <= EXPORT_BYTES + largest + 1000


async def test_customers_export_their_own_account_and_nothing_else(
    history: Any, owner: Owner, new_owner: Callable[[], Owner], identities: Identities
) -> None:
    await owner.credit(1)

    assert len(await exported(history, owner.me, owner.account)) == 1
    for caller, parent, reason in (
        (owner.me, EVERY_ACCOUNT, "ACCESS_DENIED"),
        (owner.me, new_owner().account, "ACCESS_DENIED"),
        (identities.service("accrual"), owner.account, "ACCESS_DENIED"),
        ((), owner.account, "CREDENTIALS_MISSING"),
    ):
        assert (await refusal_of(exported(history, caller, parent))).reason == reason


async def test_a_slow_reader_holds_no_transaction_open(history: Any, history_uri: str, admin: Metadata) -> None:
    name = new_account("slow")
    await write_long_history(history_uri, name, 20_000, "r" * 200)
    call = history.ExportOperations(messages.ExportOperationsRequest(parent=str(name)), metadata=admin)
    try:
        await call.read()
        await asyncio.sleep(0.5)
        async with await psycopg.AsyncConnection.connect(history_uri) as connection:
            cursor = await connection.execute(
                """select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
                   and state like 'idle in transaction%' and state_change < now() - interval '200 ms'"""
            )
            assert await cursor.fetchone() == (0,)
    finally:
        call.cancel()


async def _open_many(uri: str, program: str) -> None:
    """In a table of few rows the planner would rather sort them all."""
    async with await psycopg.AsyncConnection.connect(uri, autocommit=True) as connection:
        await connection.execute(
            """insert into balance.account (account_key, program, account_id, created_at, updated_at)
               select gen_random_uuid(), %s, gen_random_uuid()::text, now(), now() from generate_series(1, 3000)""",
            [program],
        )
        await connection.execute("analyze balance.account")


@pytest.mark.parametrize("mode", [GENERIC, CUSTOM])
async def test_an_export_walks_along_the_keys(history_uri: str, mode: str) -> None:
    name = new_account()
    await write_long_history(history_uri, name, 20_000)
    await _open_many(history_uri, "walked")

    asked = {"keys": ("uuid[]", [name.key]), "low": ("bigint[]", [10_000]), "high": ("bigint[]", [10_500])}
    operations = await plan(history_uri, OPERATIONS, asked, mode)
    listed = {"program": ("text", "walked"), "key": ("uuid", new_account().key), "limit": ("bigint", 10)}
    histories = await plan(history_uri, HISTORIES, listed, mode)

    assert set(collecting(operations)) <= {"Sort"}  # of a part, which no index has in order
    assert max(node["Actual Rows"] for node in nodes(operations)) <= 500
    assert max(node["Actual Rows"] for node in nodes(histories)) <= 10
