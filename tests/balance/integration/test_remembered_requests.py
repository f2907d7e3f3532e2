"""CreateAccount and CreateProgram record no operation; what they were answered is remembered under their `request_id` all the same."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Sequence
from itertools import cycle
from typing import Any
from uuid import uuid4

import grpc
import psycopg
import pytest
from galen.balance.v1 import account_pb2
from galen.balance.v1 import balance_service_pb2 as messages
from galen.balance.v1.balance_service_pb2_grpc import BalanceServiceStub

from shared.grpc.errors import peer_error
from shared.testing.errors import refusal_of
from shared.testing.identities import Identities, Metadata
from tests.balance.world import new_id, soon

RIVALS = 20


class Office:
    """An administrator, whose calls go to the servers in turn."""

    def __init__(self, stubs: Sequence[Any], identities: Identities) -> None:
        self._stubs = cycle(stubs)
        self._identities = identities
        self.admin = identities.customer(f"root-{uuid4()}", roles=("admin",))

    async def open(self, account_id: str, request_id: str, *, parent: str = "programs/main", by: Metadata = ()) -> account_pb2.Account:
        request = messages.CreateAccountRequest(parent=parent, account_id=account_id, request_id=request_id)
        answer: messages.CreateAccountResponse = await next(self._stubs).CreateAccount(request, metadata=by or self.admin, timeout=30)
        return answer.account

    async def create(self, program_id: str, title: str, request_id: str) -> messages.Program:
        request = messages.CreateProgramRequest(program_id=program_id, title=title, request_id=request_id)
        answer: messages.CreateProgramResponse = await next(self._stubs).CreateProgram(request, metadata=self.admin, timeout=30)
        return answer.program

    async def credit(self, account: str, amount: int) -> None:
        request = messages.CreditPointsRequest(account=account, amount=amount, reference="18", request_id=new_id())
        request.expire_time.FromDatetime(soon(3600))
        await next(self._stubs).CreditPoints(request, metadata=self._identities.service("accrual"), timeout=30)


@pytest.fixture
def office(ledgers: Sequence[BalanceServiceStub], identities: Identities) -> Office:
    return Office(ledgers, identities)


def new_program() -> str:
    return f"p{uuid4().hex}"


async def test_an_account_that_is_opened_again_under_the_same_id_is_told_of_as_it_was(office: Office) -> None:
    account_id, request_id = new_id(), new_id()
    opened = await office.open(account_id, request_id)
    await office.credit(opened.name, 5)

    assert opened.version == 0
    assert await office.open(account_id, request_id) == opened
    assert (await office.open(account_id, new_id())).available == 5


async def test_an_account_that_was_found_open_is_told_of_as_it_was_found(office: Office) -> None:
    account_id, request_id = new_id(), new_id()
    await office.credit(f"programs/main/accounts/{account_id}", 5)
    found = await office.open(account_id, request_id)
    await office.credit(found.name, 7)

    assert (found.available, found.version, found.next_expiry.points) == (5, 1, 5)
    assert await office.open(account_id, request_id) == found


async def test_an_id_opens_no_second_account(office: Office) -> None:
    request_id, second = new_id(), new_id()
    await office.open(new_id(), request_id)

    assert (await refusal_of(office.open(second, request_id))).reason == "REQUEST_ID_REUSED"
    assert (await office.open(second, new_id())).version == 0
    assert (await refusal_of(office.create(new_program(), "Winter", request_id))).reason == "REQUEST_ID_REUSED"


async def test_an_id_belongs_to_its_caller(office: Office, identities: Identities) -> None:
    request_id, second = new_id(), new_id()
    await office.open(new_id(), request_id)

    assert (await office.open(second, request_id, by=identities.service("customers"))).name.endswith(second)


async def test_a_programme_that_was_missing_does_not_use_the_id_up(office: Office) -> None:
    program, account_id, request_id = new_program(), new_id(), new_id()
    missing = await refusal_of(office.open(account_id, request_id, parent=f"programs/{program}"))
    await office.create(program, "Winter", new_id())

    assert missing.reason == "PROGRAM_NOT_FOUND"
    assert (await office.open(account_id, request_id, parent=f"programs/{program}")).version == 0


async def test_an_id_creates_no_second_programme_and_keeps_its_refusal(office: Office) -> None:
    program, created_by, refused_by = new_program(), new_id(), new_id()
    created = await office.create(program, "Winter", created_by)

    for _ in range(2):
        assert await office.create(program, "Winter", created_by) == created
        assert (await refusal_of(office.create(program, "Summer", refused_by))).reason == "PROGRAM_EXISTS"
        for other, title in ((new_program(), "Winter"), (program, "Autumn")):
            for used in (created_by, refused_by):
                assert (await refusal_of(office.create(other, title, used))).reason == "REQUEST_ID_REUSED"


async def test_a_request_that_is_sent_many_times_at_once_has_one_answer(office: Office) -> None:
    account_id, program, request_ids = new_id(), new_program(), (new_id(), new_id())

    opened = await asyncio.gather(*(office.open(account_id, request_ids[0]) for _ in range(RIVALS)))
    created = await asyncio.gather(*(office.create(program, "Winter", request_ids[1]) for _ in range(RIVALS)))

    assert all(account == opened[0] for account in opened)
    assert all(one == created[0] for one in created)


async def test_of_many_accounts_that_are_opened_at_once_under_one_id_one_is(office: Office, database_uri: str) -> None:
    for _ in range(3):
        account_ids, request_id = [new_id() for _ in range(RIVALS)], new_id()

        told = Counter(await asyncio.gather(*(outcome(office.open(account_id, request_id)) for account_id in account_ids)))

        assert told == {"opened": 1, "REQUEST_ID_REUSED": RIVALS - 1}
        async with await psycopg.AsyncConnection.connect(database_uri) as connection:
            counted = await connection.execute("select count(*) from balance.account where account_id = any(%s)", [account_ids])
            assert await counted.fetchone() == (1,)


async def outcome(call: Awaitable[object]) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return peer_error(error).reason
    return "opened"
