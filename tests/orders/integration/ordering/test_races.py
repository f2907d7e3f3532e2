"""Two at the same order at the same time: one wins, the other is told, and the stock adds up (every test's end looks at that)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any
from uuid import uuid4

import pytest
from galen.orders.v1 import order_pb2 as orders

from services.orders.domain.errors import OrderStateRefused
from shared.testing.errors import refusal_of
from tests.orders.counter import Crew, order_id, scans_of
from tests.orders.stock_rows import LevelRow

ROUNDS = 5


async def both(*calls: Awaitable[Any]) -> list[Any]:
    """Runs the calls at the same time; returns what they returned or raised."""
    return await asyncio.gather(*calls, return_exceptions=True)


def won(outcomes: list[Any]) -> int:
    return sum(not isinstance(outcome, BaseException) for outcome in outcomes)


async def reason_of(outcome: Any) -> str:
    async def fail() -> None:
        raise outcome

    return (await refusal_of(fail())).reason


async def test_two_of_the_staff_start_one_order(crew: Crew) -> None:
    for _ in range(ROUNDS):
        order = await crew.in_state("PAID")
        outcomes = await both(crew.staff.act("StartPreparing", order), crew.pharmacist.act("StartPreparing", order))

        assert won(outcomes) == 1
        loser = next(outcome for outcome in outcomes if isinstance(outcome, BaseException))
        assert await reason_of(loser) == "ETAG_MISMATCH"
        winner = next(outcome for outcome in outcomes if not isinstance(outcome, BaseException))
        assert (await crew.staff.get(order.name)).preparer == winner.preparer
        assert len(await crew.staff.events(order.name)) == 3


async def test_a_claim_and_a_start_of_the_same_order(crew: Crew) -> None:
    for _ in range(ROUNDS):
        order = await crew.in_state("PAID")
        outcomes = await both(crew.pharmacist.claim_next(crew.counter.location), crew.staff.act("StartPreparing", order))

        assert won(outcomes) == 1
        assert (await crew.staff.get(order.name)).assignee in (crew.pharmacist.name, crew.staff.name)


async def test_an_order_is_cancelled_by_its_customer_while_staff_begin_with_it(crew: Crew) -> None:
    for _ in range(ROUNDS):
        order = await crew.in_state("PAID")
        outcomes = await both(crew.customer.act("CancelOrder", order, etag=""), crew.staff.act("StartPreparing", order))

        assert won(outcomes) == 1
        assert await crew.counter.level(order.lines[0].sku) in (LevelRow(100, 0), LevelRow(99, 0))


async def test_a_cancellation_and_a_payment_of_the_same_order(crew: Crew) -> None:
    """Whichever is first: the units are back in the end, since a paid order can be cancelled too."""
    for _ in range(ROUNDS):
        order = await crew.in_state("PENDING_PAYMENT")
        cancelled, settled = await both(crew.customer.act("CancelOrder", order, etag=""), crew.counter.steps.settle(order_id(order)))

        assert cancelled.state == orders.ORDER_STATE_CANCELLED
        assert not isinstance(settled, BaseException) or isinstance(settled, OrderStateRefused)
        paid = cancelled.payment.state == orders.ORDER_PAYMENT_STATE_PAID
        assert paid == (not isinstance(settled, BaseException))
        assert await crew.counter.level(order.lines[0].sku) == LevelRow(100, 0)


async def test_an_expiry_and_a_payment_of_the_same_order(crew: Crew) -> None:
    for _ in range(ROUNDS):
        order = await crew.in_state("PENDING_PAYMENT")
        await crew.counter.due(order)
        steps = crew.counter.steps
        expired, settled = await both(steps.expire(order_id(order)), steps.settle(order_id(order)))

        shown = await crew.customer.get(order.name)
        if expired:
            assert isinstance(settled, OrderStateRefused)
            assert shown.state == orders.ORDER_STATE_EXPIRED
            assert await crew.counter.level(order.lines[0].sku) == LevelRow(100, 0)
        else:
            assert shown.state == orders.ORDER_STATE_PAID
            assert await crew.counter.level(order.lines[0].sku) == LevelRow(99, 0)


async def test_many_sweepers_and_cancellers_end_an_order_once(crew: Crew) -> None:
    for _ in range(ROUNDS):
        order = await crew.in_state("PENDING_PAYMENT", rx=False)
        await crew.counter.due(order)
        endings = [crew.counter.steps.expire(order_id(order)) for _ in range(3)]
        outcomes = await both(*endings, crew.customer.act("CancelOrder", order, etag=""))

        assert sum(outcome is True or hasattr(outcome, "state") for outcome in outcomes) == 1
        assert len(await crew.customer.events(order.name)) == 2
        assert await crew.counter.level(order.lines[0].sku) == LevelRow(100, 0)


async def test_a_payment_that_is_settled_by_many_at_once_sells_the_units_once(crew: Crew) -> None:
    order = await crew.in_state("PENDING_PAYMENT")

    outcomes = await both(*(crew.counter.steps.settle(order_id(order)) for _ in range(5)))

    assert won(outcomes) == 5
    assert await crew.counter.level(order.lines[0].sku) == LevelRow(99, 0)


@pytest.mark.parametrize(
    ("method", "state", "delivery"),
    [
        ("CancelOrder", "PENDING_PAYMENT", False),
        ("CancelOrder", "PAID", False),
        ("UpdateOrder", "PAID", False),
        ("ApproveOrder", "UNDER_REVIEW", False),
        ("RejectOrder", "UNDER_REVIEW", False),
        ("StartPreparing", "PAID", False),
        ("FinishPreparing", "PREPARING", False),
        ("ShipOrder", "READY", True),
        ("DeliverOrder", "SHIPPED", True),
        ("HandOverOrder", "READY", False),
        ("AcceptReturn", "COMPLETED", False),
        ("ReleaseClaim", "PREPARING", False),
    ],
)
async def test_a_request_that_is_sent_again_and_again_is_done_once(crew: Crew, method: str, state: str, *, delivery: bool) -> None:
    order = await crew.in_state(state, delivery=delivery, rx=state == "UNDER_REVIEW")
    who = crew.customer if method in ("CancelOrder", "UpdateOrder") else crew.staff
    who = crew.pharmacist if method in ("ApproveOrder", "RejectOrder", "FinishPreparing") else who
    fields = fields_of(method, order, (await crew.customer.get(order.name)).pickup_code)
    request_id = str(uuid4())
    before = len(await crew.customer.events(order.name))

    answers = await asyncio.gather(*(who.act(method, order, request_id=request_id, **fields) for _ in range(3)))
    later = await who.act(method, order, request_id=request_id, **fields)

    assert all(answer == later for answer in answers)
    assert len(await crew.customer.events(order.name)) == before + 1
    other = {"name": order.name.replace(crew.customer.id, str(uuid4()))} if who is not crew.customer else {"etag": '"77"'}
    reused = await refusal_of(who.act(method, order, request_id=request_id, **(fields | other)))
    assert reused.reason == "REQUEST_ID_REUSED"


def fields_of(method: str, order: orders.Order, code: str) -> dict[str, Any]:
    """Returns what a method needs besides the name, the etag and the id."""
    needed: dict[str, dict[str, Any]] = {
        "UpdateOrder": {"note": "x", "update_mask": {"paths": ["note"]}},
        "RejectOrder": {"reason": "why"},
        "FinishPreparing": {"scans": scans_of(order)},
        "ShipOrder": {"tracking_number": "T"},
        "HandOverOrder": {"pickup_code": code},
        "AcceptReturn": {"lines": [{"sku": order.lines[0].sku, "quantity": 1}], "reason": "why"},
    }
    return needed.get(method, {})
