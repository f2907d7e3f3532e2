"""Points that will expire, soonest first: of one account, of a whole programme."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from galen.balance.v1 import balance_service_pb2 as messages
from google.protobuf.timestamp_pb2 import Timestamp

from services.balance.adapters.postgres.expiring import OF_ACCOUNT, OF_ALL
from services.balance.adapters.postgres.statements import READING_SETTINGS
from services.balance.application import list_expiring_lots
from services.balance.domain.names import AccountName
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities, Metadata
from tests.balance.histories import new_account, open_account
from tests.balance.plans import CUSTOM, GENERIC, collecting, nodes, plan
from tests.balance.world import Owner, soon, until

NEXT_YEAR = datetime(datetime.now(UTC).year + 1, 12, 31, 23, 59, 59, tzinfo=UTC)
NEVER = datetime(9999, 1, 1, tzinfo=UTC)


class Lots:
    """What staff see of lots that expire."""

    def __init__(self, stub: Any, identities: Identities) -> None:
        self._stub = stub
        self.staff = identities.customer("staff-1", roles=("staff",))

    async def page(self, parent: str, before: datetime | Timestamp, caller: Metadata | None = None, **fields: Any) -> Any:
        request = messages.ListExpiringLotsRequest(**{"parent": parent, "before_time": before, **fields})
        return await self._stub.ListExpiringLots(request, metadata=self.staff if caller is None else caller, timeout=20)

    async def all(self, parent: str, before: datetime, **fields: Any) -> list[messages.ExpiringLot]:
        lots, token = [], ""
        while True:
            response = await self.page(parent, before, page_token=token, **fields)
            lots += response.lots
            token = response.next_page_token
            if not token:
                return lots


@pytest.fixture
def lots(history: Any, identities: Identities) -> Lots:
    return Lots(history, identities)


async def write_lots(uri: str, name: AccountName, count: int, expires_at: datetime) -> None:
    """Writes lots of 1 that expire at the same moment."""
    async with await psycopg.AsyncConnection.connect(uri) as connection:
        await open_account(connection, name, datetime.now(UTC), version=count)
        await connection.execute(
            """insert into balance.lot (account_key, lot_id, amount, remaining, held, available_at, expires_at, is_open)
               select %s, place, 1, 1, 0, now(), %s, true from generate_series(1, %s) as place""",
            [name.key, expires_at, count],
        )


async def write_lots_of_many(uri: str, expires_at: datetime) -> None:
    """Writes what gives the planner an idea of a ledger: many accounts with few lots each."""
    async with await psycopg.AsyncConnection.connect(uri) as connection:
        await connection.execute(
            """with opened as (
                   insert into balance.account (account_key, program, account_id, created_at, updated_at)
                   select gen_random_uuid(), 'crowd', gen_random_uuid()::text, now(), now() from generate_series(1, 3000)
                   returning account_key
               )
               insert into balance.lot (account_key, lot_id, amount, remaining, held, available_at, expires_at, is_open)
               select account_key, place, 1, 1, 0, now(), %s, true from opened, generate_series(1, 10) as place""",
            [expires_at],
        )


async def new_program(uri: str) -> str:
    """Makes a programme of its own, so that nobody else's lots are in the list."""
    program = f"p{uuid4().hex[:12]}"
    async with await psycopg.AsyncConnection.connect(uri) as connection:
        await connection.execute("insert into balance.program (program_id, title, created_at) values (%s, 'A test', now())", [program])
    return program


async def test_an_accounts_lots_are_listed_soonest_first_without_those_that_stay_or_are_spent(owner: Owner, lots: Lots) -> None:
    late = await owner.credit(30, expire_time=soon(3000))
    await owner.credit(40)
    spent = await owner.credit(5, expire_time=soon(500))
    early = await owner.credit(20, expire_time=soon(1000), available_time=soon(900))
    assert [(use.lot, use.amount) for use in (await owner.withdraw(5)).lots] == [(spent.version, 5)]
    await owner.reserve(7)

    listed = await lots.all(owner.account, soon(4000))

    assert [(lot.credit, lot.remaining, lot.held) for lot in listed] == [(early.name, 20, 0), (late.name, 30, 7)]
    assert {lot.account for lot in listed} == {owner.account}
    assert listed[0].expire_time.seconds < listed[1].expire_time.seconds
    assert [lot.credit for lot in await lots.all(owner.account, soon(2000))] == [early.name]


async def test_what_has_expired_and_what_a_hold_that_ran_out_had_set_aside_counts_as_of_now(owner: Owner, lots: Lots) -> None:
    end, held_until = soon(1.2), timedelta(seconds=1)
    await owner.credit(10, expire_time=end)
    lasting = await owner.credit(20, expire_time=soon(1000))
    await owner.withdraw(10)
    await owner.credit(10, expire_time=end)
    await owner.reserve(25, ttl=held_until)
    assert sum(lot.held for lot in await lots.all(owner.account, soon(4000))) == 25

    await until(end)

    assert [(lot.credit, lot.remaining, lot.held) for lot in await lots.all(owner.account, soon(4000))] == [(lasting.name, 20, 0)]


@pytest.mark.parametrize("page_size", [1, 4, 1000])
async def test_lots_of_the_same_moment_are_paged_without_a_skip_or_a_repeat(history_uri: str, lots: Lots, page_size: int) -> None:
    program = await new_program(history_uri)
    names = [new_account(program) for _ in range(3)]
    for name in names:
        await write_lots(history_uri, name, 5, NEXT_YEAR)

    listed = await lots.all(f"programs/{program}/accounts/-", NEVER, page_size=page_size)

    assert sorted(lot.credit for lot in listed) == sorted(f"{name}/operations/{lot}" for name in names for lot in range(1, 6))
    one = await lots.all(str(names[0]), NEVER, page_size=page_size)
    assert [lot.credit for lot in one] == [f"{names[0]}/operations/{lot}" for lot in range(1, 6)]


async def test_lots_of_other_programmes_in_between_are_passed_over_in_bounded_steps(
    history_uri: str, lots: Lots, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_expiring_lots, "READS_MAX", 2)
    program, other = await new_program(history_uri), await new_program(history_uri)
    mine = new_account(program)
    await write_lots(history_uri, new_account(other), 60, NEXT_YEAR + timedelta(days=400))
    await write_lots(history_uri, mine, 2, NEXT_YEAR + timedelta(days=401))

    first = await lots.page(f"programs/{program}/accounts/-", NEVER, page_size=5)
    listed = await lots.all(f"programs/{program}/accounts/-", NEVER, page_size=5)

    assert (list(first.lots), bool(first.next_page_token)) == ([], True)
    assert [lot.credit for lot in listed] == [f"{mine}/operations/1", f"{mine}/operations/2"]


async def test_customers_see_their_own_lots_and_nobody_elses(owner: Owner, lots: Lots, identities: Identities) -> None:
    await owner.credit(10, expire_time=soon(1000))

    assert len((await lots.page(owner.account, soon(2000), owner.me)).lots) == 1
    for parent in ("programs/main/accounts/-", f"programs/main/accounts/{uuid4()}"):
        assert (await refusal_of(lots.page(parent, soon(2000), owner.me))).reason == "ACCESS_DENIED"
    assert (await refusal_of(lots.page(owner.account, soon(2000), identities.service("accrual")))).reason == "ACCESS_DENIED"
    assert (await refusal_of(lots.page(owner.account, soon(2000), ()))).reason == "CREDENTIALS_MISSING"


async def test_a_page_token_belongs_to_its_list(owner: Owner, lots: Lots) -> None:
    before = soon(5000)
    for _ in range(2):
        await owner.credit(10, expire_time=soon(1000))
    token = (await lots.page(owner.account, before, page_size=1)).next_page_token

    for parent, time, forged in (
        (owner.account, before + timedelta(seconds=1), token),
        ("programs/main/accounts/-", before, token),
        (owner.account, before, token[:-2] + "AA"),
        (owner.account, before, "not a token"),
    ):
        assert (await refusal_of(lots.page(parent, time, page_token=forged))).reason == "INVALID_PAGE_TOKEN"


@pytest.mark.parametrize("time", [Timestamp(seconds=2**62), Timestamp(nanos=-1)])
async def test_what_is_no_time_is_refused(owner: Owner, lots: Lots, time: Timestamp) -> None:
    assert (await refusal_of(lots.page(owner.account, time))).reason == "INVALID_REQUEST"


async def test_the_list_needs_a_time(owner: Owner, history: Any) -> None:
    request = messages.ListExpiringLotsRequest(parent=owner.account)

    assert (await refusal_of(history.ListExpiringLots(request, metadata=owner.me, timeout=5))).reason == "INVALID_REQUEST"


@pytest.mark.parametrize("mode", [GENERIC, CUSTOM])
@pytest.mark.parametrize(("statement", "index"), [(OF_ACCOUNT, "lot_spending_order"), (OF_ALL, "lot_due")])
async def test_a_page_of_lots_is_cut_out_of_an_index(history_uri: str, statement: str, index: str, mode: str) -> None:
    name = new_account()
    await write_lots(history_uri, name, 500, NEXT_YEAR)
    await write_lots_of_many(history_uri, NEXT_YEAR)
    async with await psycopg.AsyncConnection.connect(history_uri, autocommit=True) as connection:
        await connection.execute("analyze balance.lot, balance.account")
    parameters = {
        "key": ("uuid", name.key), "time": ("timestamptz", NEXT_YEAR), "lot": ("bigint", 250), "before": ("timestamptz", NEVER),
        "limit": ("bigint", 51),
    }  # fmt: skip

    done = await plan(history_uri, statement, parameters, mode, READING_SETTINGS)

    assert collecting(done) == []
    read = [node for node in nodes(done) if node.get("Index Name") == index]
    assert [node["Actual Rows"] <= 51 for node in read] == [True]
    assert read[0].get("Rows Removed by Filter", 0) == 0
