"""Hashing: few at once, few waiting, and no memory kept."""

from __future__ import annotations

import asyncio
import gc

import psutil
import pytest
from argon2 import PasswordHasher
from prometheus_client import CollectorRegistry

from services.customers.adapters.passwords import Argon2Turns
from services.customers.application.ports import Hasher
from services.customers.settings import CustomersSettings
from shared.errors import Overloaded

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


def turns(*, turns_max: int = 2, waiting_max: int = 1, hasher: PasswordHasher = CHEAP) -> Argon2Turns:
    return Argon2Turns(hasher, CollectorRegistry(), turns_max=turns_max, waiting_max=waiting_max)


class Gate:
    """Work that counts who is inside, and stays there until it is told to go on."""

    def __init__(self) -> None:
        self.inside = 0
        self.most_inside = 0
        self.ended = 0
        self.go_on = asyncio.Event()

    async def work(self, hasher: Hasher) -> str:
        self.inside += 1
        self.most_inside = max(self.inside, self.most_inside)
        await self.go_on.wait()
        self.inside -= 1
        self.ended += 1
        return "done"


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_hash_is_of_its_password_only() -> None:
    async def work(hasher: Hasher) -> tuple[bool, bool, str]:
        made = await hasher.hash("right")
        return await hasher.verify(made, "right"), await hasher.verify(made, "wrong"), made

    async with turns().opened() as opened:
        right, wrong, made = await opened.in_turn(work)

    assert (right, wrong) == (True, False)
    assert made.startswith("$argon2id$")
    assert "right" not in made


@pytest.mark.parametrize("password", ["", "x"])
async def test_without_a_hash_no_password_is_right_not_even_the_one_that_the_stand_in_was_made_of(password: str) -> None:
    async with turns().opened() as opened:
        assert await opened.in_turn(lambda hasher: hasher.verify(None, password)) is False


async def test_only_so_many_work_at_once_only_so_many_wait_and_the_rest_are_refused() -> None:
    gate = Gate()
    async with turns(turns_max=2, waiting_max=1).opened() as opened:
        tasks = [asyncio.create_task(opened.in_turn(gate.work)) for _ in range(3)]
        await settle()
        assert gate.inside == 2

        with pytest.raises(Overloaded):
            await opened.in_turn(gate.work)

        gate.go_on.set()
        assert await asyncio.gather(*tasks) == ["done"] * 3
        assert await opened.in_turn(gate.work) == "done"
    assert gate.most_inside == 2


async def test_work_goes_on_when_its_caller_has_gone_and_keeps_its_turn_until_it_ends() -> None:
    gate = Gate()
    async with turns(turns_max=1, waiting_max=1).opened() as opened:
        gone = asyncio.create_task(opened.in_turn(gate.work))
        await settle()
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        waiting = asyncio.create_task(opened.in_turn(gate.work))
        await settle()
        assert (gate.inside, gate.ended) == (1, 0)

        gate.go_on.set()
        await waiting
    assert (gate.ended, gate.most_inside) == (2, 1)


async def test_who_goes_while_waiting_makes_room_and_starts_nothing() -> None:
    gate = Gate()
    async with turns(turns_max=1, waiting_max=1).opened() as opened:
        working = asyncio.create_task(opened.in_turn(gate.work))
        waiting = asyncio.create_task(opened.in_turn(gate.work))
        await settle()
        waiting.cancel()
        await settle()

        another = asyncio.create_task(opened.in_turn(gate.work))
        gate.go_on.set()
        await asyncio.gather(working, another)
    assert gate.ended == 2


async def test_a_turn_that_failed_is_given_back() -> None:
    async def fail(_hasher: Hasher) -> None:
        raise ValueError

    async with turns(turns_max=1, waiting_max=0).opened() as opened:
        for _ in range(3):
            with pytest.raises(ValueError):  # noqa: PT011  our own, without a text
                await opened.in_turn(fail)


async def test_closing_waits_for_the_work_that_goes_on() -> None:
    gate = Gate()
    async with turns().opened() as opened:
        task = asyncio.create_task(opened.in_turn(gate.work))
        await settle()
        gate.go_on.set()
    assert gate.ended == 1
    await task


async def test_the_memory_of_a_hash_with_the_default_parameters_is_given_back() -> None:
    defaults = {name: field.default for name, field in CustomersSettings.model_fields.items()}
    memory_kib = defaults["argon2_memory_kib"]
    hasher = PasswordHasher(time_cost=1, memory_cost=memory_kib, parallelism=defaults["argon2_lanes"])

    def resident() -> int:
        gc.collect()
        return int(psutil.Process().memory_info().rss)

    async with turns(hasher=hasher, waiting_max=8).opened() as opened:
        before = resident()
        await asyncio.gather(*(opened.in_turn(lambda hasher: hasher.hash("x")) for _ in range(6)))
        kept = resident() - before

    assert memory_kib >= 65_536, "smaller blocks are kept by the C library instead of being given back"
    assert kept < 16 << 20
