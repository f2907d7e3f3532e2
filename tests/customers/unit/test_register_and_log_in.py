"""What registering and logging in do, step by step."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from services.customers.application.log_in import LogIn
from services.customers.application.ports import Registration
from services.customers.application.prove_login import ProveLogin
from services.customers.application.register import Register
from services.customers.domain.errors import LoginTaken, TooManyFailedLogins, WrongCredentials
from services.customers.domain.login import Attempt
from shared.errors import RequestIdReused
from tests.customers.unit.fakes import CountedFailures, FixedClock, MemoryRegistrations, OneTurn, PlainHasher, ReadableTokens

ADDRESS = "203.0.113.7"


class World:
    """The two use cases, and what they leave behind."""

    def __init__(self, *, limit: int = 1000) -> None:
        self.hasher = PlainHasher()
        self.registrations = MemoryRegistrations()
        self.failures = CountedFailures(limit)
        proof, turns, tokens = ProveLogin(self.failures), OneTurn(self.hasher), ReadableTokens()
        self.registering = Register(self.registrations, turns, proof, tokens, FixedClock())
        self.logging_in = LogIn(self.registrations, turns, proof, tokens)

    async def register(self, login: str = "ada", password: str = "secret", request_id: UUID | None = None) -> UUID:
        return (await self.registering.register(login, password, request_id or uuid4(), ADDRESS)).customer_id

    async def log_in(self, login: str = "ada", password: str = "secret") -> UUID:
        return (await self.logging_in.log_in(login, password, ADDRESS)).customer_id


@pytest.fixture
def world() -> World:
    return World()


async def test_a_login_costs_the_same_work_whether_it_exists_or_not(world: World) -> None:
    await world.register()
    work = []
    for login in ("ada", "nobody", "no\0body"):
        world.hasher.done.clear()
        with pytest.raises(WrongCredentials) as refused:
            await world.log_in(login, "wrong")
        work.append((dict(world.hasher.done), refused.value.message))

    assert work == [work[0]] * 3
    assert work[0][0] == {"verify": 1}


async def test_failures_are_counted_for_the_login_and_address_that_were_tried(world: World) -> None:
    await world.register("ada")
    for login in ("ada", "Ada", "nobody"):
        with pytest.raises(WrongCredentials):
            await world.log_in(login, "wrong")
    await world.log_in("ada")

    assert world.failures.counts == {Attempt(ADDRESS, login): 1 for login in ("ada", "Ada", "nobody")}


async def test_beyond_the_limit_nothing_is_checked_any_more() -> None:
    world = World(limit=1)
    await world.register()
    with pytest.raises(WrongCredentials):
        await world.log_in(password="wrong")
    world.hasher.done.clear()

    with pytest.raises(TooManyFailedLogins) as refused:
        await world.log_in()

    assert refused.value.retry_after_s == 7.0
    assert world.hasher.done == {}


async def test_an_outdated_hash_is_renewed_by_the_right_password_only(world: World) -> None:
    await world.register()
    world.hasher.mark = "newer:"
    with pytest.raises(WrongCredentials):
        await world.log_in(password="wrong")
    assert world.registrations.rows["ada"].password_hash == "new:secret"

    await world.log_in()

    assert world.registrations.rows["ada"].password_hash == "newer:secret"


async def test_roles_of_the_row_stand_in_the_token(world: World) -> None:
    await world.register()
    world.registrations.rows["ada"] = replace(world.registrations.rows["ada"], roles=frozenset({"customer", "staff"}))

    session = await world.logging_in.log_in("ada", "secret", ADDRESS)

    assert session.token.value.endswith("['customer', 'staff']")


async def test_a_repeat_proves_itself_by_the_password(world: World) -> None:
    request_id = uuid4()
    registered = await world.register(request_id=request_id)

    assert await world.register(request_id=request_id) == registered
    with pytest.raises(LoginTaken):
        await world.register(password="wrong", request_id=request_id)
    assert sum(world.failures.counts.values()) == 1


async def test_a_taken_login_costs_no_hash(world: World) -> None:
    await world.register()
    world.hasher.done.clear()

    with pytest.raises(LoginTaken):
        await world.register()
    assert world.hasher.done == {}


async def test_a_request_id_is_for_one_login(world: World) -> None:
    request_id = uuid4()
    await world.register("ada", request_id=request_id)

    with pytest.raises(RequestIdReused):
        await world.register("bob", request_id=request_id)


async def test_of_two_who_register_at_once_the_slower_is_refused_unless_both_are_one_request(world: World) -> None:
    request_id = uuid4()
    faster = Registration(uuid4(), "ada", request_id, frozenset({"customer"}), "new:secret")
    world.registrations.faster = faster

    assert await world.register(request_id=request_id) == faster.customer_id
    world.registrations.rows.clear()
    with pytest.raises(LoginTaken):
        await world.register(request_id=uuid4())
