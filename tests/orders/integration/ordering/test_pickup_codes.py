"""Pickup codes are short: guesses are limited for each order, by all replicas together."""

from __future__ import annotations

import asyncio
from collections import Counter as Tally
from collections.abc import AsyncIterator
from uuid import uuid4

import grpc
import pytest
import pytest_asyncio

from services.orders.container import OrdersContainer, service_parts
from services.orders.domain.ordering import commands
from services.orders.domain.ordering.transitions import Caller
from services.orders.settings import OrdersSettings
from shared.grpc.errors import peer_error
from shared.requests import RequestKey
from shared.testing.errors import refusal_of
from shared.testing.servers import ServedService, served
from tests.orders.counter import Crew, order_id, state_number
from tests.orders.customers_peer import People
from tests.orders.integration.ordering.conftest import Ordering
from tests.orders.orders_client import Orders
from tests.orders.shop import eventually

WAITING = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


@pytest_asyncio.fixture(scope="module")
async def replica(orders_settings: OrdersSettings, people_server: People) -> AsyncIterator[ServedService]:
    """Another server of the service, on the same database."""
    changes = {"customers_address": f"127.0.0.1:{people_server.port}", "background_work": False}
    container = OrdersContainer(settings=orders_settings.model_copy(update=changes))
    async with served(service_parts(container)) as server:
        yield server


async def test_guesses_at_once_at_two_replicas_are_no_more_than_the_limit(crew: Crew, replica: ServedService) -> None:
    """Red while each process counted by itself, and while a guess was counted only after it was made."""
    order = await crew.in_state("READY")
    code = (await crew.customer.get(order.name)).pickup_code
    wrong = f"{(int(code) + 1) % 10**6:06}"
    there = Orders(replica.channel, crew.staff.id, crew.staff.metadata)

    answers = await asyncio.gather(
        *(who.act("HandOverOrder", order, pickup_code=wrong) for who in [crew.staff, there] * 10), return_exceptions=True
    )

    reasons = Tally(peer_error(answer).reason for answer in answers if isinstance(answer, grpc.aio.AioRpcError))
    assert reasons == {"PICKUP_CODE_WRONG": 5, "RATE_LIMITED": 15}
    for who in (crew.staff, there):
        refused = await refusal_of(who.act("HandOverOrder", order, pickup_code=code))
        assert refused.reason == "RATE_LIMITED"
        assert 0 < (refused.retry_after_s or 0) <= 600


async def test_time_forgives_a_guess_after_ten_minutes(crew: Crew) -> None:
    order = await crew.in_state("READY")
    code = (await crew.customer.get(order.name)).pickup_code
    wrong = f"{(int(code) + 1) % 10**6:06}"
    for _ in range(5):
        await refusal_of(crew.staff.act("HandOverOrder", order, pickup_code=wrong))

    await crew.counter.rows("update pickup_guess set counted_at = counted_at - interval '9 minutes' where order_id = %s", order_id(order))
    assert (await refusal_of(crew.staff.act("HandOverOrder", order, pickup_code=code))).reason == "RATE_LIMITED"
    await crew.counter.rows("update pickup_guess set counted_at = counted_at - interval '2 minutes' where order_id = %s", order_id(order))

    assert (await crew.staff.act("HandOverOrder", order, pickup_code=code)).state == state_number("COMPLETED")
    assert await crew.counter.rows("select 1 from pickup_guess where order_id = %s", order_id(order)) == []


@pytest.mark.parametrize(("off_by", "counted"), [(0, 1), (1, 2)], ids=["right", "wrong"])
async def test_of_guesses_that_got_no_answer_the_wrong_ones_stay_counted(crew: Crew, ordering: Ordering, off_by: int, counted: int) -> None:
    """Red while a right code that was interrupted as it waited for its order counted as a wrong one.

    A wrong one must count whether it is known to have been judged or not, or one would only have to interrupt them all.
    """
    order = await crew.in_state("READY")
    code = int((await crew.customer.get(order.name)).pickup_code)
    await refusal_of(crew.staff.act("HandOverOrder", order, pickup_code=f"{(code + 1) % 10**6:06}"))
    said = f"{(code + off_by) % 10**6:06}"
    hand_over = ordering.container.ordering().use_cases().hand_over
    command = commands.hand_over(Caller(crew.staff.name, frozenset({"staff"})), order.etag, said)
    async with crew.counter.engine.begin() as somebody:
        await somebody.exec_driver_sql("select from customer_order where order_id = %s for update", (order_id(order),))
        guessing = asyncio.create_task(hand_over(crew.customer.id, order_id(order), command, RequestKey(crew.staff.name, uuid4(), b"")))
        await eventually(lambda: crew.counter.rows(WAITING))
        guessing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await guessing

    ((tries,),) = await crew.counter.rows("select tries from pickup_guess where order_id = %s", order_id(order))
    assert tries == pytest.approx(counted, abs=0.1)  # less what time forgives


async def test_what_was_no_guess_is_not_counted(crew: Crew) -> None:
    order = await crew.in_state("READY")
    code = (await crew.customer.get(order.name)).pickup_code

    for _ in range(7):
        assert (await refusal_of(crew.staff.act("HandOverOrder", order, pickup_code=code, etag='"1"'))).reason == "ETAG_MISMATCH"

    assert (await crew.staff.act("HandOverOrder", order, pickup_code=code)).state == state_number("COMPLETED")
