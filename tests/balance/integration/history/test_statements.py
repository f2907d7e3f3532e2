"""Statements by kind, reference and time, paged while the account is written to, at the same cost however long the history."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1 import operation_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from services.balance.adapters.postgres.statements import PAGE, PAYMENT, READING_SETTINGS, SEARCHED_MAX, page_parameters
from services.balance.application.ports import StatementFilter
from services.balance.domain.model import Kind
from services.balance.domain.names import AccountName
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities
from tests.balance.histories import Event, new_account, write_history, write_long_history
from tests.balance.plans import CUSTOM, GENERIC, blocks, collecting, nodes, plan
from tests.balance.world import Owner, order_number, outcome

START = datetime(2024, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Statement:
    """What staff see of an account."""

    def __init__(self, stub: Any, identities: Identities) -> None:
        self._stub = stub
        self._staff = identities.customer("staff-1", roles=("staff",))

    async def page(self, name: AccountName, **fields: Any) -> Any:
        return await self._stub.ListOperations(messages.ListOperationsRequest(parent=str(name), **fields), metadata=self._staff, timeout=20)

    async def pages(self, name: AccountName, **fields: Any) -> list[list[operation_pb2.Operation]]:
        pages, token = [], ""
        while True:
            response = await self.page(name, page_token=token, **fields)
            pages.append(list(response.operations))
            token = response.next_page_token
            if not token:
                return pages

    async def versions(self, name: AccountName, **fields: Any) -> list[int]:
        return [operation.version for page in await self.pages(name, **fields) for operation in page]


@pytest.fixture
def statement(history: Any, identities: Identities) -> Statement:
    return Statement(history, identities)


@pytest.fixture
async def eight(history_uri: str) -> AccountName:
    """An account with eight operations, two of them in the same microsecond."""
    name = new_account()
    events = [
        Event(START + SECOND, Kind.CREDIT, 100, "order-1"),
        Event(START + 2 * SECOND, Kind.WITHDRAWAL, 10, "order-2"),
        Event(START + 2 * SECOND, Kind.WITHDRAWAL, 1000, "order-3", refused=True),
        Event(START + 3 * SECOND, Kind.RESERVATION, 20, "order-3"),
        Event(START + 4 * SECOND, Kind.CAPTURE, 20, "order-3"),
        Event(START + 5 * SECOND, Kind.CREDIT, 5, "order-2"),
        Event(START + 6 * SECOND, Kind.WITHDRAWAL, 1, "order-4"),
        Event(START + 7 * SECOND, Kind.CREDIT, 1, "order-1"),
    ]
    await write_history(history_uri, name, START, events)
    return name


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [8, 7, 6, 5, 4, 2, 1]),
        ({"include_refused": True}, [8, 7, 6, 5, 4, 3, 2, 1]),
        ({"start_time": START + 2 * SECOND, "include_refused": True}, [8, 7, 6, 5, 4, 3, 2]),
        ({"end_time": START + 2 * SECOND, "include_refused": True}, [1]),
        ({"start_time": START + 2 * SECOND, "end_time": START + 5 * SECOND}, [5, 4, 2]),
        ({"start_time": START + 5 * SECOND, "end_time": START + 2 * SECOND}, []),
        ({"start_time": START + 8 * SECOND}, []),
        ({"end_time": START}, []),
        ({"start_time": START - SECOND, "end_time": START + 99 * SECOND}, [8, 7, 6, 5, 4, 2, 1]),
        ({"reference": "order-3"}, [5, 4]),
        ({"reference": "order-3", "include_refused": True}, [5, 4, 3]),
        ({"reference": "order-2", "kinds": [2]}, [2]),
        ({"reference": "order-2", "kinds": [2], "start_time": START + 3 * SECOND}, []),
        ({"reference": "order-2", "kinds": [2], "end_time": START + 2 * SECOND}, []),
        ({"reference": "order-3", "kinds": [2]}, []),
        ({"reference": "order-3", "kinds": [2], "include_refused": True}, [3]),
        ({"reference": "order"}, []),
        ({"kinds": [2, 4]}, [7, 5, 2]),
        ({"kinds": [1], "start_time": START + 5 * SECOND, "reference": "order-1"}, [8]),
    ],
)
@pytest.mark.parametrize("page_size", [1, 3, 50])
async def test_a_statement_has_what_all_filters_let_through(
    statement: Statement, eight: AccountName, fields: dict[str, Any], expected: list[int], page_size: int
) -> None:
    assert await statement.versions(eight, page_size=page_size, **fields) == expected


async def test_a_time_between_two_microseconds_is_after_the_first(statement: Statement, eight: AccountName) -> None:
    def at(nanos: int) -> Timestamp:
        return Timestamp(seconds=int((START + 7 * SECOND).timestamp()), nanos=nanos)

    assert await statement.versions(eight, start_time=at(0)) == [8]
    assert await statement.versions(eight, start_time=at(1)) == []
    assert (await statement.versions(eight, end_time=at(0)))[0] == 7
    assert (await statement.versions(eight, end_time=at(1)))[0] == 8


@pytest.mark.parametrize("field", ["start_time", "end_time"])
@pytest.mark.parametrize("time", [Timestamp(seconds=2**62), Timestamp(seconds=-(2**62)), Timestamp(nanos=-5), Timestamp(nanos=2**31 - 1)])
async def test_what_is_no_time_is_refused(statement: Statement, eight: AccountName, field: str, time: Timestamp) -> None:
    refusal = await refusal_of(statement.page(eight, **{field: time}))

    assert refusal.reason == "INVALID_REQUEST"


@pytest.mark.parametrize("seconds", [-62135596800, 253402300799])
async def test_the_first_and_the_last_time_there_is_can_be_asked_for(statement: Statement, eight: AccountName, seconds: int) -> None:
    time = Timestamp(seconds=seconds)

    assert len(await statement.versions(eight, start_time=time)) + len(await statement.versions(eight, end_time=time)) == 7


async def test_a_reference_that_no_operation_can_have_is_refused(statement: Statement, eight: AccountName) -> None:
    assert (await refusal_of(statement.page(eight, reference="a\0b"))).reason == "INVALID_REQUEST"
    assert (await refusal_of(statement.page(eight, reference="a" * 256))).reason == "INVALID_REQUEST"


@pytest.mark.parametrize(
    "change",
    [{"reference": "order-1"}, {"start_time": START}, {"end_time": START + 90 * SECOND}, {"kinds": [1]}, {"include_refused": True}],
)
async def test_a_page_token_belongs_to_its_filter(statement: Statement, eight: AccountName, change: dict[str, Any]) -> None:
    token = (await statement.page(eight, page_size=2)).next_page_token

    assert (await refusal_of(statement.page(eight, page_token=token, **change))).reason == "INVALID_PAGE_TOKEN"
    assert (await refusal_of(statement.page(new_account(), page_token=token))).reason == "INVALID_PAGE_TOKEN"


async def test_pages_read_while_the_account_is_written_to_neither_skip_nor_repeat(statement: Statement, owner: Owner) -> None:
    before = [(await owner.credit(1)).version for _ in range(40)]
    writing = asyncio.gather(*(owner.withdraw(1) for _ in range(30)), *(outcome(owner.send(owner.to_withdraw(10**9))) for _ in range(10)))

    read = await statement.versions(owner.name, page_size=3, include_refused=True)
    await writing

    assert read == sorted(set(read), reverse=True)
    assert read[-40:] == before[::-1]
    assert len(await statement.versions(owner.name, page_size=7, include_refused=True)) == 80


async def test_what_is_rare_is_found_in_steps_of_a_bounded_length(statement: Statement, history_uri: str) -> None:
    name, length = new_account(), 2 * SEARCHED_MAX + 500
    await write_long_history(history_uri, name, length)
    async with await psycopg.AsyncConnection.connect(history_uri) as connection:
        await connection.execute("update balance.operation set reference = 'rare' where account_key = %s and version = 3", [name.key])

    pages = await statement.pages(name, reference="rare")

    assert [[operation.version for operation in page] for page in pages] == [[], [], [3]]


# --- the cost


@pytest.fixture(scope="module")
def short_and_long(history_uri: str) -> tuple[AccountName, AccountName]:
    """Accounts with a thousand and with a hundred thousand operations."""

    async def write(length: int) -> AccountName:
        name = new_account()
        await write_long_history(history_uri, name, length)
        return name

    return asyncio.run(write(1_000)), asyncio.run(write(100_000))


FILTERS: dict[str, dict[str, Any]] = {
    "everything": {},
    "a later page": {"before_version": 500},
    "a span of time": {"start": datetime.now(UTC) - 900 * SECOND, "end": datetime.now(UTC) - 300 * SECOND},
    "a kind": {"kinds": [Kind.CREDIT]},
    "refusals too": {"include_refused": True},
}
TYPES = {
    "key": "uuid", "kinds": "smallint[]", "refused": "boolean", "reference": "text", "start": "timestamptz", "end": "timestamptz",
    "before": "bigint", "searched": "integer", "limit": "integer",
}  # fmt: skip


def wanted(name: AccountName, changes: dict[str, Any]) -> StatementFilter:
    return StatementFilter(**{"account": name, "kinds": (), "include_refused": False, "before_version": None, "limit": 50, **changes})


async def page_plan(uri: str, name: AccountName, changes: dict[str, Any], mode: str, statement: str = PAGE) -> dict[str, Any]:
    given = page_parameters(wanted(name, changes))
    return await plan(uri, statement, {key: (TYPES[key], given[key]) for key in TYPES}, mode, READING_SETTINGS)


@pytest.mark.parametrize("mode", [GENERIC, CUSTOM])
@pytest.mark.parametrize("changes", FILTERS.values(), ids=FILTERS.keys())
async def test_a_page_costs_the_same_however_long_the_history(
    history_uri: str, short_and_long: tuple[AccountName, AccountName], changes: dict[str, Any], mode: str
) -> None:
    short, long = [await page_plan(history_uri, name, changes, mode) for name in short_and_long]

    assert collecting(long) == []
    # Seven more look-ups of four blocks for each search by time in a history that is a hundred times as long, no more.
    assert blocks(long) <= blocks(short) * 1.3 + (2 * 7 * 4 if "start" in changes else 0)


async def test_the_payment_of_an_order_is_found_by_its_index(history_uri: str, short_and_long: tuple[AccountName, AccountName]) -> None:
    changes = {"reference": order_number(), "kinds": [Kind.WITHDRAWAL]}

    done = await page_plan(history_uri, short_and_long[1], changes, GENERIC, PAYMENT)

    assert [node.get("Index Name") for node in nodes(done)] == ["operation_payment_unique"]


async def test_a_search_by_time_looks_at_no_more_versions_than_a_version_has_bits(
    history_uri: str, short_and_long: tuple[AccountName, AccountName]
) -> None:
    done = await page_plan(history_uri, short_and_long[1], FILTERS["a span of time"], GENERIC)

    looked_up = [node["Actual Loops"] for node in nodes(done) if node.get("Relation Name") == "operation"]
    assert max(looked_up) <= 17 == (100_000).bit_length()
